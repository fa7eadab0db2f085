package tiltfile_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/tiltfile"
	"ecommerce-stack.dev/hack/internal/workspace"
)

var services = []string{"auth", "sales", "stock", "gateway"}

func root(t *testing.T) string {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func run(t *testing.T, settings map[string]starlark.Value) *tiltfile.Result {
	t.Helper()
	result, err := tiltfile.Run(root(t), "ecommerce-stack", settings)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestOnlyContextsOfThisRepositoryAreAllowed(t *testing.T) {
	t.Parallel()
	contexts := []string{"kind-ecommerce-stack", "ecommerce-stack"}
	for _, context := range contexts {
		if result, err := tiltfile.Run(root(t), context, nil); err != nil || !slices.Equal(result.Contexts, contexts) {
			t.Errorf("%s: allowed %q, %v; want %q", context, result.Contexts, err, contexts)
		}
	}
	for _, context := range []string{"prod-eu", "kind-kind", "", "kind-ecommerce-stack-2"} {
		result, err := tiltfile.Run(root(t), context, nil)
		if err == nil || !strings.Contains(err.Error(), "make up") || len(result.Contexts) > 0 || len(result.Deploys) > 0 {
			t.Errorf("%q: allowed %q, %v; want an error with the fix", context, result.Contexts, err)
		}
	}
}

// watches reports whether a resource is deployed again after a change of a file.
func watches(result *tiltfile.Result, resource, file string) bool {
	glob := strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*`, `[^/]*`)
	for _, pattern := range result.Ignored {
		if regexp.MustCompile(`^` + glob.Replace(regexp.QuoteMeta(pattern)) + `(/.*)?$`).MatchString(file) {
			return false
		}
	}
	return slices.ContainsFunc(result.Deploys[resource].Strings("deps"), func(path string) bool {
		return file == path || strings.HasPrefix(file, path+"/")
	})
}

// TestResourcesWatchWhatTheirImagesContain compares the watched files of each resource with those
// that the build of its image reads.
func TestResourcesWatchWhatTheirImagesContain(t *testing.T) {
	t.Parallel()
	result := run(t, nil)
	built := map[string][]string{}
	for module, packages := range map[string]map[string]string{
		"services": {"./auth": "auth", "./sales": "sales", "./stock": "stock", "./gateway": "gateway"}, "operator": {"./cmd": "operator"},
	} {
		var paths []string
		for path := range packages {
			paths = append(paths, path)
		}
		found, err := revision.SourcesByPackage("go", filepath.Join(root(t), module), paths...)
		if err != nil {
			t.Fatal(err)
		}
		for path, resource := range packages {
			for _, file := range found[path] {
				file, err := filepath.Rel(root(t), file)
				if err != nil {
					t.Fatal(err)
				}
				built[resource] = append(built[resource], file)
			}
		}
	}
	for resource, files := range built {
		if len(files) == 0 {
			t.Errorf("%s has no sources", resource)
		}
		for _, file := range files {
			if !watches(result, resource, file) {
				t.Errorf("%s does not watch %s", resource, file)
			}
		}
		for _, other := range services {
			if file := "services/" + other + "/main.go"; other != resource && watches(result, resource, file) {
				t.Errorf("%s watches %s", resource, file)
			}
		}
	}
	for file, watched := range map[string]bool{
		"charts/operator/templates/deployment.yaml": true, "charts/stock/values.yaml": true,
		"charts/operator/charts/ecommerce-library-0.1.0.tgz": false, "charts/operator/Chart.lock": false, "operator/cmd/main_test.go": false,
		"operator/internal/chart/testdata/stock.golden.yaml": false,
	} {
		if watches(result, "operator", file) != watched {
			t.Errorf("the operator watches %s: %v, want %v", file, !watched, watched)
		}
	}
	if !watches(result, "stack", "config/samples/stack.yaml") {
		t.Error("the stack does not watch its sample")
	}
	for name, deploy := range result.Deploys {
		for _, path := range deploy.Strings("deps") {
			if _, err := os.Stat(filepath.Join(root(t), path)); err != nil {
				t.Errorf("%s watches a path that does not exist: %v", name, err)
			}
		}
	}
}

func TestResourcesHaveLabelsCommandsAndPods(t *testing.T) {
	t.Parallel()
	result := run(t, map[string]starlark.Value{"load": starlark.String("--rate 9")})
	for _, want := range append([]string{"operator", "stack"}, services...) {
		deploy, resource := result.Deploys[want], result.Resources[want]
		if deploy == nil || resource == nil || len(resource.Strings("labels")) == 0 || len(resource.Strings("links")) == 0 {
			t.Errorf("%s is deployed %v, with the resource %v", want, deploy, resource)
			continue
		}
		if apply := deploy.Strings("apply_cmd")[0]; !strings.Contains(apply, "make -s reload ONLY=") || !strings.Contains(apply, " >&2 && kubectl --namespace ") {
			t.Errorf("%s is applied by %q, want a reload and the object", want, apply)
		}
	}
	for _, service := range services {
		if apply := result.Deploys[service].Strings("apply_cmd")[0]; !strings.Contains(apply, `ONLY="`+service+`"`) || !strings.Contains(apply, "deployment demo-"+service) {
			t.Errorf("%s is applied by %q", service, apply)
		}
		if deps := result.Resources[service].Strings("resource_deps"); !slices.Equal(deps, []string{"stack"}) {
			t.Errorf("%s waits for %q, want the stack", service, deps)
		}
	}
	if !slices.Contains(result.Kinds, "ECommerceStack") {
		t.Errorf("the kinds with pods are %q", result.Kinds)
	}
	if selectors, ok := result.Resources["stack"]["extra_pod_selectors"].(*starlark.List); !ok || selectors.Len() != 2 {
		t.Errorf("the stack selects the pods %v, want those of two servers", result.Resources["stack"]["extra_pod_selectors"])
	}
	if got := result.Locals["load"].Strings("cmd"); got[0] != `make load LOAD="--rate 9"` {
		t.Errorf("load runs %q", got)
	}
}

// TestCommandsAreTargets looks for each target that the Tiltfile runs in the Makefile.
func TestCommandsAreTargets(t *testing.T) {
	t.Parallel()
	result := run(t, nil)
	var commands []string
	for _, want := range []string{"demo", "load", "e2e", "dead-letters", "observe"} {
		local := result.Locals[want]
		if local["auto_init"] != starlark.False || local["trigger_mode"] == nil || len(local.Strings("labels")) == 0 {
			t.Errorf("%s is no button: %v", want, local)
			continue
		}
		commands = append(commands, local.Strings("cmd")...)
	}
	button, reset := result.Buttons["reset"], result.Commands["reset"]
	if button["requires_confirmation"] != starlark.True {
		t.Errorf("the button to reset does not ask first: %v", button)
	}
	if started, ok := reset.Field("start_on", "ui_buttons").(*starlark.List); !ok || started.Len() != 1 || started.Index(0) != starlark.String("reset") {
		t.Errorf("reset starts on %v, want its button", reset["start_on"])
	}
	commands = append(commands, strings.Join(reset.Strings("args"), " "))
	for _, deploy := range result.Deploys {
		commands = append(commands, strings.ReplaceAll(deploy.Strings("apply_cmd")[0], "make -s ", "make "))
	}
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		target, ok := strings.CutPrefix(command, "make ")
		target, _, _ = strings.Cut(target, " ")
		if !ok || !regexp.MustCompile(`(?m)^`+target+`:`).Match(makefile) {
			t.Errorf("%q runs no target of the Makefile", command)
		}
	}
}

func TestLinksFollowTheSettings(t *testing.T) {
	t.Parallel()
	for port, settings := range map[string]map[string]starlark.Value{"5001": nil, "6001": {"port": starlark.MakeInt(6001)}} {
		result := run(t, settings)
		for _, resource := range append([]string{"stack"}, services...) {
			if links := result.Links(resource); !slices.Contains(links, "http://localhost:"+port+"/docs") {
				t.Errorf("with port %s, %s has the links %q", port, resource, links)
			}
		}
	}
}

func TestForwardedPortsDiffer(t *testing.T) {
	t.Parallel()
	result, used := run(t, nil), map[int]string{}
	for _, resource := range append([]string{"operator"}, services...) {
		forwards := result.Forwards(resource)
		if len(forwards) != 1 || forwards[0].Container != 9090 || forwards[0].Path != "/metrics" {
			t.Errorf("%s forwards %v, want its metrics", resource, forwards)
			continue
		}
		if other := used[forwards[0].Local]; other != "" {
			t.Errorf("%s and %s use port %d", resource, other, forwards[0].Local)
		}
		used[forwards[0].Local] = resource
	}
}

// TestDashboardsExist looks for the dashboard of each link to Grafana.
func TestDashboardsExist(t *testing.T) {
	t.Parallel()
	result, found := run(t, nil), 0
	for resource := range result.Resources {
		for _, link := range result.Links(resource) {
			_, name, ok := strings.Cut(link, "/d/")
			if !ok {
				continue
			}
			found++
			content, err := os.ReadFile(filepath.Join(root(t), "config", "grafana", name+".json"))
			if err != nil || !strings.Contains(string(content), `"uid": "`+name+`"`) {
				t.Errorf("%s: there is no dashboard %s: %v", resource, name, err)
			}
		}
	}
	if found < 7 {
		t.Errorf("%d links to dashboards, want one of each service and more", found)
	}
}

func TestSettingsAreIgnoredByGit(t *testing.T) {
	t.Parallel()
	ignored, err := os.ReadFile(filepath.Join(root(t), ".gitignore"))
	if err != nil || !strings.Contains(string(ignored), "/"+tiltfile.SettingsFile+"\n") {
		t.Errorf("%s is not ignored: %v", tiltfile.SettingsFile, err)
	}
}
