// Package tiltfile tests the Tiltfile of this repository: it runs it with functions of Tilt that
// record their calls.
package tiltfile

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// resource is a call of local_resource.
type resource struct {
	arguments map[string]starlark.Value
}

// text returns the strings of a list, or of a string.
func (r resource) text(name string) []string {
	var all []string
	switch v := r.arguments[name].(type) {
	case starlark.String:
		all = append(all, string(v))
	case *starlark.List:
		for i := range v.Len() {
			if s, ok := v.Index(i).(starlark.String); ok {
				all = append(all, string(s))
			}
		}
	}
	return all
}

// run executes the Tiltfile in a context of kubectl, with the settings of a developer.
func run(t *testing.T, context string, settings map[string]starlark.Value) (resources map[string]resource, allowed []string, err error) {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	resources = map[string]resource{}
	builtin := func(name string, fn func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)) *starlark.Builtin {
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return fn(args, kwargs)
		})
	}
	first := func(args starlark.Tuple) string { s, _ := starlark.AsString(args[0]); return s }
	predeclared := starlark.StringDict{
		"TRIGGER_MODE_MANUAL": starlark.MakeInt(1),
		"version_settings":    builtin("version_settings", func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) { return starlark.None, nil }),
		"k8s_context":         builtin("k8s_context", func(starlark.Tuple, []starlark.Tuple) (starlark.Value, error) { return starlark.String(context), nil }),
		"fail": builtin("fail", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return nil, errors.New(first(args))
		}),
		"link": builtin("link", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) { return args[0], nil }),
		"allow_k8s_contexts": builtin("allow_k8s_contexts", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			allowed = append(allowed, resource{map[string]starlark.Value{"contexts": args[0]}}.text("contexts")...)
			return starlark.None, nil
		}),
		"read_json": builtin("read_json", func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			if first(args) != "tilt-settings.json" {
				t.Errorf("it reads %s", first(args))
			}
			d := starlark.NewDict(len(settings))
			for name, value := range settings {
				if err := d.SetKey(starlark.String(name), value); err != nil {
					return nil, err
				}
			}
			return d, nil
		}),
		"local_resource": builtin("local_resource", func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			r := resource{map[string]starlark.Value{}}
			for _, kv := range kwargs {
				name, _ := starlark.AsString(kv[0])
				r.arguments[name] = kv[1]
			}
			if _, twice := resources[first(args)]; twice {
				t.Errorf("there are two resources %s", first(args))
			}
			resources[first(args)] = r
			return starlark.None, nil
		}),
	}
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true}
	_, err = starlark.ExecFileOptions(options, &starlark.Thread{Name: "Tiltfile"}, filepath.Join(root, "Tiltfile"), nil, predeclared)
	return resources, allowed, err
}

func TestOnlyContextsOfThisRepositoryAreAllowed(t *testing.T) {
	t.Parallel()
	contexts := []string{"kind-ecommerce-stack", "ecommerce-stack"}
	for _, context := range contexts {
		if _, allowed, err := run(t, context, nil); err != nil || !slices.Equal(allowed, contexts) {
			t.Errorf("%s: allowed %q, %v; want %q", context, allowed, err, contexts)
		}
	}
	for _, context := range []string{"prod-eu", "kind-kind", "", "kind-ecommerce-stack-2"} {
		_, allowed, err := run(t, context, nil)
		if err == nil || !strings.Contains(err.Error(), "make up") || len(allowed) > 0 {
			t.Errorf("%q: allowed %q, %v; want an error with the fix", context, allowed, err)
		}
	}
}

// TestStoreWatchesWhatItBuilds looks for each file that a build of an image reads in the watched
// folders.
func TestStoreWatchesWhatItBuilds(t *testing.T) {
	t.Parallel()
	resources, _, err := run(t, "ecommerce-stack", nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for module, packages := range map[string][]string{"services": {"./auth", "./sales", "./stock", "./gateway"}, "operator": {"./cmd"}} {
		found, err := revision.Sources("go", filepath.Join(root, module), packages...)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	watched := resources["store"].text("deps")
	for _, file := range files {
		file, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(watched, func(dir string) bool { return strings.HasPrefix(file, dir+"/") }) {
			t.Errorf("%s is built and not watched", file)
		}
		for _, pattern := range resources["store"].text("ignore") {
			if strings.HasPrefix(pattern, "**/*") && strings.HasSuffix(file, strings.TrimPrefix(pattern, "**/*")) {
				t.Errorf("%s is built and ignored by %s", file, pattern)
			}
		}
	}
	for _, dir := range watched {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Error(err)
		}
	}
}

func TestResourcesHaveLabelsCommandsAndLinks(t *testing.T) {
	t.Parallel()
	resources, _, err := run(t, "ecommerce-stack", map[string]starlark.Value{"port": starlark.MakeInt(6001), "load": starlark.String("--rate 9")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"store", "auth", "sales", "stock", "gateway", "demo", "load", "observe", "e2e"} {
		if _, ok := resources[want]; !ok {
			t.Errorf("there is no resource %s among %q", want, slices.Sorted(maps.Keys(resources)))
		}
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range resources {
		commands := append(r.text("cmd"), r.text("serve_cmd")...)
		if len(commands) != 1 || len(r.text("labels")) == 0 {
			t.Errorf("%s has the commands %q and the labels %q", name, commands, r.text("labels"))
			continue
		}
		if target, ok := strings.CutPrefix(commands[0], "make "); ok {
			target, _, _ = strings.Cut(target, " ")
			if !regexp.MustCompile(`(?m)^` + target + `:`).Match(makefile) {
				t.Errorf("%s runs make %s, which does not exist", name, target)
			}
		}
	}
	if got := resources["store"].text("links"); len(got) == 0 || got[0] != "http://localhost:6001/docs" {
		t.Errorf("links %q, want that of the port in the settings", got)
	}
	if got := resources["load"].text("cmd"); got[0] != `make load LOAD="--rate 9"` {
		t.Errorf("load runs %q", got)
	}
}
