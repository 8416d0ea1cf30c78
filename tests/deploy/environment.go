package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/shadowless/shadowless/internal/config"
)

// Environment is what a workload's first container is given, in the order in
// which Kubernetes applies it.
func (c *Cluster) Environment(w Pods) map[string]string {
	values := map[string]string{}
	container := w.Template.Spec.Containers[0]
	for _, from := range container.EnvFrom {
		for _, m := range of[*corev1.ConfigMap](c) {
			if from.ConfigMapRef != nil && m.Name == from.ConfigMapRef.Name {
				for name, value := range m.Data {
					values[from.Prefix+name] = value
				}
			}
		}
	}
	for _, env := range container.Env {
		values[env.Name] = env.Value
	}
	return values
}

// runtimeVariables are read by Go's runtime in every process.
var runtimeVariables = []string{"GOMEMLIMIT"}

// UnknownVariables finds variables that the service does not read. For those
// without its prefix the service itself would not complain.
func UnknownVariables(service string, given map[string]string, known []config.Variable) []error {
	var faults []error
	for _, name := range keys(given) {
		if !slices.Contains(runtimeVariables, name) && !slices.ContainsFunc(known, func(v config.Variable) bool { return v.Name == name }) {
			faults = append(faults, fmt.Errorf("%s is given %s, which it does not read", service, name))
		}
	}
	return faults
}

// Mount writes what the workload's volumes hold below root, at the paths where
// its first container finds them, and returns its environment with the paths
// moved there. Paths inside the files are moved too.
func (c *Cluster) Mount(w Pods, root string) (map[string]string, error) {
	moved := map[string]string{}
	for _, m := range w.Template.Spec.Containers[0].VolumeMounts {
		moved[m.MountPath] = filepath.Join(root, m.MountPath)
	}
	paths := keys(moved)
	slices.Reverse(paths) // longer ones first
	move := func(s string) string {
		for _, path := range paths {
			if strings.Contains(s, path) && !strings.Contains(s, moved[path]) {
				s = strings.ReplaceAll(s, path, moved[path])
			}
		}
		return s
	}
	for _, m := range w.Template.Spec.Containers[0].VolumeMounts {
		if err := os.MkdirAll(moved[m.MountPath], 0o700); err != nil {
			return nil, err
		}
		for _, v := range w.Template.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			for name, content := range c.files(v) {
				if err := os.WriteFile(filepath.Join(moved[m.MountPath], name), []byte(move(content)), 0o600); err != nil {
					return nil, err
				}
			}
		}
	}
	values := c.Environment(w)
	for name, value := range values {
		values[name] = move(value)
	}
	return values, nil
}

// files of a volume.
func (c *Cluster) files(v corev1.Volume) map[string]string {
	all := map[string]string{}
	if v.ConfigMap != nil {
		for _, m := range of[*corev1.ConfigMap](c) {
			if m.Name == v.ConfigMap.Name {
				maps.Copy(all, m.Data)
			}
		}
	}
	if v.Secret != nil {
		for _, s := range of[*corev1.Secret](c) {
			if s.Name == v.Secret.SecretName {
				for name, content := range s.Data {
					all[name] = string(content)
				}
			}
		}
	}
	return all
}

// Load is -check-config of a service in its pod.
func Load[C any](prefix string, values map[string]string) error {
	environ := make([]string, 0, len(values))
	for _, name := range keys(values) {
		environ = append(environ, name+"="+values[name])
	}
	_, err := config.Load[C](prefix, environ)
	return err
}
