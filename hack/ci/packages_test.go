package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// programs are the programs by the Debian package that has them. git is not among them: its
// absence is no error, except in the benchmarks.
var programs = map[string]string{
	"mariadbd": "mariadb-server-core", "mariadb-install-db": "mariadb-client-core", "rabbitmq-server": "rabbitmq-server",
	"python3": "python3", "chromium": "chromium", "promtool": "prometheus",
	"wrk": "wrk", "/usr/sbin/nginx": "nginx-light", "haproxy": "haproxy", "/usr/sbin/varnishd": "varnish",
}

// notCompared are packages that no program of the sources names, and those with npm, which only some
// of the tests run that can.
var notCompared = []string{"git", "gcc", "libc6-dev", "nodejs", "npm"}

// used returns the Debian packages whose programs the sources of some packages, and with tests
// their tests, name in quotes.
func used(t *testing.T, root string, tests bool, patterns ...string) []string {
	t.Helper()
	const files = `{{if not .Standard}}{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}`
	const testFiles = `{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`
	list := func(args ...string) []string {
		cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"list"}, args...), patterns...)...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %q: %v", cmd.Args, err)
		}
		return strings.Fields(string(out))
	}
	sources := list("-deps", "-f", files)
	if tests {
		sources = slices.Concat(list("-deps", "-test", "-f", files), list("-f", testFiles))
	}
	found := map[string]bool{}
	for _, source := range sources {
		if strings.HasPrefix(source, filepath.Join(root, "hack", "ci", "packages")) || filepath.Ext(source) != ".go" {
			continue // The lists themselves, and the generated main packages of tests, which have no suffix.
		}
		content, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for program, pkg := range programs {
			if strings.Contains(string(content), `"`+program+`"`) {
				found[pkg] = true
			}
		}
	}
	var all []string
	for pkg := range found {
		all = append(all, pkg)
	}
	slices.Sort(all)
	return all
}

func TestTargetsInstallWhatTheyUse(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the import graphs of many packages; not part of a -short run")
	}
	t.Parallel()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(`\./[a-z]+(/[a-z]+)*(/\.\.\.)?`)
	for target, group := range groups {
		rule := regexp.MustCompile(`(?m)^` + target + `:.*\bdeps-` + target + `\b.*\n((?:\t.*\n)+)`).FindStringSubmatch(string(makefile))
		if rule == nil {
			t.Errorf("the target %s does not install its packages with deps-%[1]s", target)
			continue
		}
		isTest := strings.Contains(rule[1], "gotest")
		// The others select a part of the tests of a package.
		if strings.Contains(rule[1], "-run") || target == "fuzz" {
			continue
		}
		var sources []string
		for _, p := range pattern.FindAllString(rule[1], -1) {
			if p != "./hack/ci" && !strings.HasPrefix(p, "./hack/testenv/cmd") && p != "./hack/cluster" {
				sources = append(sources, p)
			}
		}
		want := slices.DeleteFunc(names(group), func(name string) bool { return slices.Contains(notCompared, name) })
		if got := used(t, root, isTest, sources...); !slices.Equal(got, want) {
			t.Errorf("make %s (%s) uses %q, and installs %q", target, strings.Join(sources, " "), got, want)
		}
	}
}

// TestServersStartForTheTests expands the recipes, because with-servers would run another command that
// stands before the tests.
func TestServersStartForTheTests(t *testing.T) {
	t.Parallel()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"integration", "race", "nightly"} {
		cmd := exec.CommandContext(t.Context(), "make", "--dry-run", target)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
		commands := regexp.MustCompile(`cmd/with-servers (\S+)`).FindAllStringSubmatch(string(out), -1)
		if len(commands) == 0 {
			t.Errorf("make %s does not use with-servers", target)
		}
		for _, c := range commands {
			if filepath.Base(c[1]) != "gotestsum" {
				t.Errorf("make %s runs %s with servers, want gotestsum", target, c[1])
			}
		}
	}
}

func names(packages []debian.Package) []string {
	var all []string
	for _, p := range packages {
		all = append(all, p.Name)
	}
	slices.Sort(all)
	return all
}
