package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// builtins are the functions of Tilt's API that the Tiltfile may use, with
// their documented parameters (docs.tilt.dev/api.html). A parameter that the
// documentation does not have fails, as it does in Tilt.
var builtins = map[string][]string{
	"version_settings": {"check_updates", "constraint"},
	"local":            {"command", "quiet", "command_bat", "echo_off", "env", "dir", "stdin"},
	"local_resource": {
		"name", "cmd", "deps", "trigger_mode", "resource_deps", "ignore", "auto_init", "serve_cmd", "cmd_bat", "serve_cmd_bat",
		"allow_parallel", "links", "tags", "env", "serve_env", "readiness_probe", "dir", "serve_dir", "labels",
	},
	"probe":             {"initial_delay_secs", "timeout_secs", "period_secs", "success_threshold", "failure_threshold", "exec", "http_get", "tcp_socket"},
	"exec_action":       {"command"},
	"http_get_action":   {"port", "host", "scheme", "path"},
	"tcp_socket_action": {"port", "host"},
	"k8s_yaml":          {"yaml", "allow_duplicates"},
	"kustomize":         {"pathToDir", "kustomize_bin"},
	"k8s_resource": {
		"workload", "new_name", "port_forwards", "extra_pod_selectors", "trigger_mode", "resource_deps", "objects", "auto_init",
		"pod_readiness", "links", "labels", "discovery_strategy",
	},
	"custom_build": {
		"ref", "command", "deps", "tag", "disable_push", "skips_local_docker", "live_update", "match_in_env_vars", "ignore",
		"entrypoint", "command_bat_val", "outputs_image_ref_to", "command_bat", "image_deps",
	},
	"default_registry":     {"host", "host_from_cluster", "single_name"},
	"k8s_context":          {},
	"config.define_bool":   {"name", "args", "usage"},
	"config.define_string": {"name", "args", "usage"},
	"config.parse":         {},
	"os.path.join":         nil, // any number
	"os.path.abspath":      {"path"},
	"os.getenv":            {"key", "default"},
	"shlex.quote":          {"s"},
	"fail":                 {"msg"},
}

// Call is one use of a built-in, its arguments by name.
type Call struct {
	Name string
	Args map[string]starlark.Value
}

// Tilt runs a Tiltfile against stand-ins for Tilt's built-ins.
type Tilt struct {
	Context  string            // of kubectl
	Settings map[string]string // what stands after `tilt up --`
	Calls    []Call

	root   string
	loaded map[string]starlark.StringDict
}

// Run evaluates the file.
func (t *Tilt) Run(file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	t.root, t.loaded = filepath.Dir(path), map[string]starlark.StringDict{}
	_, err = t.execute(path)
	return err
}

func (t *Tilt) execute(path string) (starlark.StringDict, error) {
	if globals, ok := t.loaded[path]; ok {
		return globals, nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	thread := &starlark.Thread{Name: path, Load: func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		if strings.Contains(module, "://") {
			return nil, fmt.Errorf("%s is fetched from elsewhere", module)
		}
		return t.execute(filepath.Join(filepath.Dir(path), module))
	}}
	// As Tilt's own interpreter: conditions and loops may stand at top level.
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true, While: false, Set: true, LoadBindsGlobally: true}
	globals, err := starlark.ExecFileOptions(options, thread, path, source, t.predeclared())
	if err != nil {
		return nil, err
	}
	t.loaded[path] = globals
	return globals, nil
}

// Of lists the calls of one built-in.
func (t *Tilt) Of(name string) []Call {
	return slices.DeleteFunc(slices.Clone(t.Calls), func(c Call) bool { return c.Name != name })
}

func (t *Tilt) predeclared() starlark.StringDict {
	modules := map[string]starlark.StringDict{
		"config": {"main_dir": starlark.String(t.root)}, "os": {}, "os.path": {}, "shlex": {},
	}
	top := starlark.StringDict{}
	for name, parameters := range builtins {
		function := starlark.NewBuiltin(name, t.call(name, parameters))
		if i := strings.LastIndex(name, "."); i > 0 {
			modules[name[:i]][name[i+1:]] = function
		} else {
			top[name] = function
		}
	}
	module := func(name string) starlark.Value {
		return starlarkstruct.FromStringDict(starlark.String(name), modules[name])
	}
	modules["os"]["path"] = module("os.path")
	for _, name := range []string{"config", "os", "shlex"} {
		top[name] = module(name)
	}
	return top
}

type builtin func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

func (t *Tilt) call(name string, parameters []string) builtin {
	return func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if name == "os.path.join" {
			parts := make([]string, len(args))
			for i, a := range args {
				parts[i], _ = starlark.AsString(a)
			}
			return starlark.String(filepath.Join(parts...)), nil
		}
		given := map[string]starlark.Value{}
		if len(args) > len(parameters) {
			return nil, fmt.Errorf("%s takes at most %d arguments", name, len(parameters))
		}
		for i, a := range args {
			given[parameters[i]] = a
		}
		for _, kv := range kwargs {
			key, _ := starlark.AsString(kv[0])
			if !slices.Contains(parameters, key) {
				return nil, fmt.Errorf("%s has no parameter %s", name, key)
			}
			if _, ok := given[key]; ok {
				return nil, fmt.Errorf("%s is given %s twice", name, key)
			}
			given[key] = kv[1]
		}
		t.Calls = append(t.Calls, Call{Name: name, Args: given})
		return t.answer(name, given)
	}
}

// answer is what the few built-ins give whose results the Tiltfile uses.
func (t *Tilt) answer(name string, given map[string]starlark.Value) (starlark.Value, error) {
	text := func(key string) string { s, _ := starlark.AsString(given[key]); return s }
	switch name {
	case "fail":
		return nil, fmt.Errorf("fail: %s", text("msg"))
	case "config.parse":
		settings := starlark.NewDict(len(t.Settings))
		for key, value := range t.Settings {
			var v starlark.Value = starlark.String(value)
			if value == "true" {
				v = starlark.True
			}
			if err := settings.SetKey(starlark.String(key), v); err != nil {
				return nil, err
			}
		}
		return settings, nil
	case "os.path.abspath":
		return starlark.String(filepath.Join(t.root, text("path"))), nil
	case "os.getenv":
		return starlark.String("/home/developer"), nil
	case "local":
		return starlark.String("1000\n"), nil
	case "shlex.quote":
		return starlark.String("'" + text("s") + "'"), nil
	case "k8s_context":
		return starlark.String(t.Context), nil
	case "probe", "exec_action", "http_get_action", "tcp_socket_action":
		return starlarkstruct.FromStringDict(starlark.String(name), given), nil
	default:
		return starlark.None, nil
	}
}
