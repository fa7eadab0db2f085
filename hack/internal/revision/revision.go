// Package revision tells which version of the sources a binary is built from.
//
// The revision of a binary is that of its own sources: the last commit that changed a file
// which the build reads. A commit of a document or of another program leaves it as it is, and
// with it the image, whose pods are then not restarted.
package revision

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Revision is the version and the commit of some sources.
type Revision struct {
	// Version is that of the release whose tag HEAD has, without the v, or else a
	// pseudo-version as those of Go modules, such as 0.0.0-20261127193031-fd89e0d5ab3c: time
	// and commit of the last change. It is a valid part of an image tag.
	Version string
	// Commit is the hash of the last change. With changes that are not committed, both end
	// in -dirty.
	Commit string
}

// Unknown is the revision of sources that are not in a git checkout.
var Unknown = Revision{"dev", "unknown"}

var release = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// CheckVersion returns an error unless v is a version such as v1.2.3.
func CheckVersion(v string) error {
	if !release.MatchString(v) {
		return fmt.Errorf("%q is not a version such as v1.2.3", v)
	}
	return nil
}

// Of returns the revision of some files of a checkout, or Unknown outside of git.
func Of(root string, files []string) (Revision, error) {
	if len(files) == 0 {
		return Revision{}, errors.New("find the revision: no files")
	}
	last, err := git(root, append([]string{"log", "-1", "--format=%H %cd", "--date=format-local:%Y%m%d%H%M%S", "--"}, files...)...)
	commit, at, ok := strings.Cut(last, " ")
	if err != nil || !ok {
		return Unknown, nil //nolint:nilerr // an export without git, or no commit yet
	}
	r := Revision{"0.0.0-" + at + "-" + commit[:12], commit}
	if tag, err := git(root, "describe", "--tags", "--exact-match"); err == nil && release.MatchString(tag) {
		r.Version = strings.TrimPrefix(tag, "v")
	}
	changed, err := git(root, append([]string{"status", "--porcelain", "--"}, files...)...)
	if err != nil {
		return Revision{}, fmt.Errorf("find changes that are not committed: %w", err)
	}
	if changed != "" {
		r.Version, r.Commit = r.Version+"-dirty", r.Commit+"-dirty"
	}
	return r, nil
}

func git(root string, arguments ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", root}, arguments...)...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// sources prints the files of a package of this repository that a build reads, and the packages
// that a listed package depends on.
const sources = `{{if not .Standard}}{{if or .Module.Main (and .Module.Replace (not .Module.Replace.Version))}}package {{.ImportPath}}{{"\n"}}` +
	`{{range .GoFiles}}file {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}file {{$.Dir}}/{{.}}{{"\n"}}{{end}}file {{.Module.GoMod}}{{"\n"}}` +
	`{{if not .DepOnly}}root {{.Dir}}{{"\n"}}{{range .Deps}}dependency {{.}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}`

// Sources returns the paths of the files that a build of packages reads from the checkout,
// without those of dependencies outside of it. module is the folder of their module, and
// packages are paths in it such as ./stock.
func Sources(goTool, module string, packages ...string) ([]string, error) {
	all, err := SourcesByPackage(goTool, module, packages...)
	var files []string
	for _, list := range all {
		files = append(files, list...)
	}
	slices.Sort(files)
	return slices.Compact(files), err
}

// SourcesByPackage is Sources with the files of each package.
func SourcesByPackage(goTool, module string, packages ...string) (map[string][]string, error) {
	module, err := filepath.Abs(module) // as go list prints folders
	if err != nil {
		return nil, fmt.Errorf("find the module of %s: %w", strings.Join(packages, ", "), err)
	}
	cmd := exec.Command(goTool, append([]string{"list", "-buildvcs=false", "-deps", "-f", sources}, packages...)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the sources of %s in %s: %w\n%s", strings.Join(packages, ", "), module, err, strings.TrimSpace(stderr.String()))
	}
	files, dependencies := map[string][]string{}, map[string][]string{} // by import path, by folder
	var current, root string
	for line := range strings.Lines(string(out)) {
		switch kind, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); kind {
		case "package":
			current = value
		case "file":
			files[current] = append(files[current], value)
			if filepath.Base(value) == "go.mod" {
				files[current] = append(files[current], filepath.Join(filepath.Dir(value), "go.sum"))
			}
		case "root":
			root = value
			dependencies[root] = []string{current}
		case "dependency":
			dependencies[root] = append(dependencies[root], value)
		}
	}
	all := map[string][]string{}
	for _, name := range packages {
		var list []string
		for _, dependency := range dependencies[filepath.Join(module, name)] {
			list = append(list, files[dependency]...)
		}
		slices.Sort(list)
		all[name] = slices.Compact(list)
	}
	return all, nil
}

// LinkerFlags returns the flags that set the version and commit of the services or the
// operator.
func (r Revision) LinkerFlags() string {
	return fmt.Sprintf("-s -w -X main.version=%[1]s -X main.commit=%[2]s -X %[3]s.Version=%[1]s -X %[3]s.Commit=%[2]s", r.Version, r.Commit, buildinfo)
}

// buildinfo is the package with the version of the services; that of the operator is in main.
const buildinfo = "ecommerce-stack.dev/services/internal/buildinfo"
