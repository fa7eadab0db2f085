// Package tiltfile runs the Tiltfile of this repository with functions that record their calls,
// because Tilt cannot be imported. The functions accept the parameters of Tilt 0.33, and return an
// error for others.
package tiltfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// Arguments are those of a call, by parameter.
type Arguments map[string]starlark.Value

// Strings returns the strings of a list, or of a string.
func (a Arguments) Strings(name string) []string {
	values := []starlark.Value{a[name]}
	if list, ok := a[name].(*starlark.List); ok {
		values = slices.Collect(list.Elements())
	}
	var all []string
	for _, value := range values {
		if s, ok := starlark.AsString(value); ok {
			all = append(all, s)
		}
	}
	return all
}

// Field returns a field of a dictionary, or nil.
func (a Arguments) Field(name, field string) starlark.Value {
	dictionary, ok := a[name].(*starlark.Dict)
	if !ok {
		return nil
	}
	value, _, err := dictionary.Get(starlark.String(field))
	if err != nil {
		return nil
	}
	return value
}

// Forward is a port of this machine that leads to a port of a pod.
type Forward struct {
	Local, Container int
	Path             string // of its link
}

// Result is what a Tiltfile declares.
type Result struct {
	Contexts []string // that are allowed
	Kinds    []string // of Kubernetes objects with pods
	Ignored  []string // patterns of files
	// Deploys, Locals, Buttons and Commands are the arguments of k8s_custom_deploy,
	// local_resource, v1alpha1.ui_button and v1alpha1.cmd, by name. Resources are those of
	// k8s_resource, by workload.
	Deploys, Locals, Buttons, Commands, Resources map[string]Arguments
	Settings                                      Arguments // of update_settings
}

// Links returns the URLs of a resource.
func (r *Result) Links(resource string) []string { return r.Resources[resource].Strings("links") }

// Forwards returns the forwarded ports of a resource.
func (r *Result) Forwards(resource string) []Forward {
	list, ok := r.Resources[resource]["port_forwards"].(*starlark.List)
	if !ok {
		return nil
	}
	var all []Forward
	for value := range list.Elements() {
		if f, ok := value.(forward); ok {
			all = append(all, f.Forward)
		}
	}
	return all
}

// forward is the value of port_forward.
type forward struct {
	starlark.Value
	Forward
}

// parameters are those of the functions that Tilt provides, in their order.
var parameters = map[string][]string{
	"allow_k8s_contexts": {"contexts"},
	"fail":               {"message"},
	"k8s_context":        {},
	"k8s_custom_deploy": {"name", "apply_cmd", "delete_cmd", "deps", "image_selector", "live_update", "apply_dir", "apply_env", "apply_cmd_bat",
		"delete_dir", "delete_env", "delete_cmd_bat", "container_selector", "image_deps"},
	"k8s_kind": {"kind", "api_version", "image_json_path", "image_object", "pod_readiness"},
	"k8s_resource": {"workload", "new_name", "port_forwards", "extra_pod_selectors", "trigger_mode", "resource_deps", "objects", "auto_init",
		"pod_readiness", "links", "labels", "discovery_strategy"},
	"link": {"url", "name"},
	"local_resource": {"name", "cmd", "deps", "trigger_mode", "resource_deps", "ignore", "auto_init", "serve_cmd", "cmd_bat", "serve_cmd_bat", "links",
		"labels", "env", "serve_env", "readiness_probe", "allow_parallel", "dir", "serve_dir"},
	"port_forward":     {"local_port", "container_port", "name", "link_path", "host"},
	"read_json":        {"path", "default"},
	"update_settings":  {"max_parallel_updates", "k8s_upsert_timeout_secs", "suppress_unused_image_warnings"},
	"version_settings": {"constraint", "check_updates"},
	"watch_settings":   {"ignore"},
	"v1alpha1.cmd":     {"name", "labels", "annotations", "args", "dir", "env", "readiness_probe", "restart_on", "start_on", "disable_source"},
	"v1alpha1.ui_button": {"name", "labels", "annotations", "location", "text", "icon_name", "icon_svg", "disabled", "requires_confirmation",
		"show_inputs_as_modal", "inputs"},
}

// SettingsFile is the file with the settings of one developer.
const SettingsFile = "tilt-settings.json"

// Run runs the Tiltfile of a checkout in a context of kubectl, with settings of a developer.
func Run(root, context string, settings map[string]starlark.Value) (*Result, error) {
	r := &Result{Deploys: map[string]Arguments{}, Locals: map[string]Arguments{}, Buttons: map[string]Arguments{}, Commands: map[string]Arguments{},
		Resources: map[string]Arguments{}}
	calls := map[string]func(Arguments) (starlark.Value, error){
		"version_settings": ignore,
		"update_settings":  func(a Arguments) (starlark.Value, error) { r.Settings = a; return starlark.None, nil },
		"watch_settings":   func(a Arguments) (starlark.Value, error) { r.Ignored = a.Strings("ignore"); return starlark.None, nil },
		"k8s_context":      func(Arguments) (starlark.Value, error) { return starlark.String(context), nil },
		"allow_k8s_contexts": func(a Arguments) (starlark.Value, error) {
			r.Contexts = a.Strings("contexts")
			return starlark.None, nil
		},
		"fail": func(a Arguments) (starlark.Value, error) { return nil, errors.New(a.Strings("message")[0]) },
		"link": func(a Arguments) (starlark.Value, error) { return a["url"], nil },
		"k8s_kind": func(a Arguments) (starlark.Value, error) {
			r.Kinds = append(r.Kinds, a.Strings("kind")...)
			return starlark.None, nil
		},
		"port_forward": func(a Arguments) (starlark.Value, error) {
			f := forward{Value: starlark.None, Forward: Forward{Path: a.Strings("link_path")[0]}}
			return f, errors.Join(starlark.AsInt(a["local_port"], &f.Local), starlark.AsInt(a["container_port"], &f.Container))
		},
		"read_json": func(a Arguments) (starlark.Value, error) {
			if file := a.Strings("path"); file[0] != SettingsFile {
				return nil, fmt.Errorf("it reads %s", file)
			}
			d := starlark.NewDict(len(settings))
			for name, value := range settings {
				if err := d.SetKey(starlark.String(name), value); err != nil {
					return nil, err
				}
			}
			return d, nil
		},
		"k8s_custom_deploy":  record(r.Deploys, "name"),
		"k8s_resource":       record(r.Resources, "workload"),
		"local_resource":     record(r.Locals, "name"),
		"v1alpha1.ui_button": record(r.Buttons, "name"),
		"v1alpha1.cmd":       record(r.Commands, "name"),
	}
	predeclared := starlark.StringDict{
		"TRIGGER_MODE_MANUAL": starlark.MakeInt(1),
		"v1alpha1": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
			"ui_button": builtin("v1alpha1.ui_button", calls), "cmd": builtin("v1alpha1.cmd", calls),
		}),
	}
	for name := range calls {
		predeclared[name] = builtin(name, calls)
	}
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true}
	_, err := starlark.ExecFileOptions(options, &starlark.Thread{Name: "Tiltfile"}, filepath.Join(root, "Tiltfile"), nil, predeclared)
	return r, err
}

func ignore(Arguments) (starlark.Value, error) { return starlark.None, nil }

// record returns a function that adds its arguments to calls, by one of them.
func record(calls map[string]Arguments, key string) func(Arguments) (starlark.Value, error) {
	return func(a Arguments) (starlark.Value, error) {
		name := a.Strings(key)
		if len(name) != 1 {
			return nil, fmt.Errorf("%s is missing", key)
		}
		if _, twice := calls[name[0]]; twice {
			return nil, fmt.Errorf("%s is declared twice", name[0])
		}
		calls[name[0]] = a
		return starlark.None, nil
	}
}

// builtin returns the function of calls with a name, which accepts its parameters.
func builtin(name string, calls map[string]func(Arguments) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		known := parameters[name]
		if len(args) > len(known) {
			return nil, fmt.Errorf("%s: %d arguments, want at most %d", name, len(args), len(known))
		}
		a := Arguments{}
		for i, value := range args {
			a[known[i]] = value
		}
		for _, kv := range kwargs {
			parameter, _ := starlark.AsString(kv[0])
			if !slices.Contains(known, parameter) {
				return nil, fmt.Errorf("%s: unknown parameter %s", name, parameter)
			}
			a[parameter] = kv[1]
		}
		return calls[name](a)
	})
}
