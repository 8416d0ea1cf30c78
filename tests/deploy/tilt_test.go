package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.starlark.net/starlark"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/images"
	"github.com/shadowless/shadowless/tests/deploy"
)

const tiltfile = "../../Tiltfile"

func strs(t *testing.T, v starlark.Value) []string {
	t.Helper()
	list, ok := v.(*starlark.List)
	if !ok {
		return nil
	}
	var all []string
	for i := range list.Len() {
		s, ok := starlark.AsString(list.Index(i))
		require.True(t, ok)
		all = append(all, s)
	}
	return all
}

func text(v starlark.Value) string {
	s, _ := starlark.AsString(v)
	return s
}

func TestTiltfile_LocalSystem(t *testing.T) {
	t.Parallel()
	tilt := &deploy.Tilt{Settings: map[string]string{"local": "true"}}
	require.NoError(t, tilt.Run(tiltfile))
	require.Empty(t, tilt.Of("k8s_yaml"), "no cluster")
	var names []string
	for _, resource := range tilt.Of("local_resource") {
		name := text(resource.Args["name"])
		require.NotNil(t, resource.Args["serve_cmd"], name)
		require.NotNil(t, resource.Args["readiness_probe"], "%s: without a probe, a program that crashes counts as up", name)
		require.NotNil(t, resource.Args["labels"], name)
		for _, dep := range strs(t, resource.Args["deps"]) {
			require.FileExists(t, existing(t, dep), name)
		}
		for _, needed := range strs(t, resource.Args["resource_deps"]) {
			require.Contains(t, names, needed, "%s starts before what it needs", name)
		}
		names = append(names, name)
	}
	require.ElementsMatch(t, append([]string{"infrastructure"}, devstack.WithDatabase...), names)
	ports := devstack.DefaultPorts()
	for _, probe := range tilt.Of("http_get_action") {
		port, err := starlark.AsInt32(probe.Args["port"])
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(devstack.WithDatabase, func(s string) bool { return ports[s] == port }), "port %d", port)
	}
}

// existing gives a file to look for: a folder stands for its own entry.
func existing(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		require.NoError(t, err)
		for _, e := range entries {
			if !e.IsDir() {
				return filepath.Join(path, e.Name())
			}
		}
		return filepath.Join("..", "..", "go.mod")
	}
	return path
}

func TestTiltfile_Cluster(t *testing.T) {
	t.Parallel()
	c := decode(t, manifests(t, "dev"))
	var workloads []string
	for _, o := range c.Objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			workloads = append(workloads, o.Name)
		case *appsv1.StatefulSet:
			workloads = append(workloads, o.Name)
		case *batchv1.Job:
			workloads = append(workloads, o.Name)
		}
	}
	for name, tilt := range map[string]*deploy.Tilt{
		"registry": {Context: "gke_x", Settings: map[string]string{"registry": "localhost:5005"}},
		"kind":     {Context: "kind-kind"},
		"k3d":      {Context: "k3d-dev"},
		"minikube": {Context: "minikube"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, tilt.Run(tiltfile))
			var built, resources []string
			for _, image := range tilt.Of("custom_build") {
				built = append(built, strings.TrimPrefix(text(image.Args["ref"]), "shadowless/"))
				require.Contains(t, text(image.Args["command"]), "$EXPECTED_REF")
				require.Equal(t, name == "registry", strings.Contains(text(image.Args["command"]), "--push"))
			}
			require.ElementsMatch(t, images.Services, built)
			for _, resource := range tilt.Of("k8s_resource") {
				workload := text(resource.Args["workload"])
				require.Contains(t, workloads, workload)
				if renamed := text(resource.Args["new_name"]); renamed != "" {
					workload = renamed
				}
				resources = append(resources, workload)
			}
			require.Len(t, resources, len(workloads), "every workload is in a labeled group")
			for _, resource := range tilt.Of("k8s_resource") {
				for _, needed := range strs(t, resource.Args["resource_deps"]) {
					require.Contains(t, resources, needed)
				}
			}
		})
	}
}

func TestTiltfile_SaysWhatAnUnknownClusterNeeds(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, (&deploy.Tilt{Context: "gke_x"}).Run(tiltfile), "give a registry")
}

func TestTilt_RefusesWhatTiltRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, says string }{
		"remote extension":  {"load('ext://restart_process', 'x')", "fetched from elsewhere"},
		"unknown parameter": {"local_resource('x', serve='y')", "has no parameter serve"},
		"unknown function":  {"docker_build('x', '.')", "undefined: docker_build"},
		"twice":             {"local_resource('x', name='y')", "twice"},
		"syntax":            {"if True\n  pass", "got newline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "Tiltfile")
			require.NoError(t, os.WriteFile(path, []byte(c.source), 0o600))
			require.ErrorContains(t, (&deploy.Tilt{}).Run(path), c.says)
		})
	}
}
