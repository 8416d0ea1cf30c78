package deploy

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// References finds names that lead nowhere: ConfigMaps, Secrets and their keys,
// service accounts, claims, volumes, ports, and selectors that select nothing.
func References(c *Cluster) []error {
	r := &resolver{files: map[string][]string{}, accounts: map[string]bool{}, claims: map[string]bool{}}
	for _, m := range of[*corev1.ConfigMap](c) {
		r.files["ConfigMap "+m.Name] = keys(m.Data)
	}
	for _, s := range of[*corev1.Secret](c) {
		r.files["Secret "+s.Name] = append(keys(s.Data), keys(s.StringData)...)
	}
	for _, a := range of[*corev1.ServiceAccount](c) {
		r.accounts[a.Name] = true
	}
	for _, p := range of[*corev1.PersistentVolumeClaim](c) {
		r.claims[p.Name] = true
	}
	workloads := c.Workloads()
	for _, w := range workloads {
		r.pods(w)
	}
	for _, s := range of[*corev1.Service](c) {
		r.service(s, workloads)
	}
	for _, d := range of[*appsv1.Deployment](c) {
		r.selects("Deployment "+d.Name, d.Spec.Selector, []Pods{{Template: &d.Spec.Template}})
	}
	for _, s := range of[*appsv1.StatefulSet](c) {
		r.selects("StatefulSet "+s.Name, s.Spec.Selector, []Pods{{Template: &s.Spec.Template}})
		if !slices.ContainsFunc(of[*corev1.Service](c), func(svc *corev1.Service) bool { return svc.Name == s.Spec.ServiceName }) {
			r.fault("StatefulSet %s: there is no Service %s", s.Name, s.Spec.ServiceName)
		}
	}
	for _, b := range of[*policyv1.PodDisruptionBudget](c) {
		r.selects("PodDisruptionBudget "+b.Name, b.Spec.Selector, workloads)
	}
	return r.faults
}

type resolver struct {
	files    map[string][]string // "Secret orders" → its keys
	accounts map[string]bool
	claims   map[string]bool
	faults   []error
}

func (r *resolver) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// file checks a ConfigMap or Secret and the keys that are asked of it.
func (r *resolver) file(from, kind, name string, items []corev1.KeyToPath) {
	have, ok := r.files[kind+" "+name]
	if !ok {
		r.fault("%s: there is no %s %s", from, kind, name)
		return
	}
	for _, item := range items {
		if !slices.Contains(have, item.Key) {
			r.fault("%s: %s %s has no key %s", from, kind, name, item.Key)
		}
	}
}

func (r *resolver) pods(w Pods) {
	spec := w.Template.Spec
	if !r.accounts[spec.ServiceAccountName] {
		r.fault("%s: there is no ServiceAccount %q", w.Name, spec.ServiceAccountName)
	}
	volumes := map[string]bool{}
	for _, claim := range w.Claims {
		volumes[claim.Name] = true
	}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
		r.volume(w.Name, v)
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, m := range container.VolumeMounts {
			if !volumes[m.Name] {
				r.fault("%s: there is no volume %s", w.Name, m.Name)
			}
		}
		for _, source := range container.EnvFrom {
			if source.ConfigMapRef != nil {
				r.file(w.Name, "ConfigMap", source.ConfigMapRef.Name, nil)
			}
			if source.SecretRef != nil {
				r.file(w.Name, "Secret", source.SecretRef.Name, nil)
			}
		}
		for _, env := range container.Env {
			r.variable(w.Name, env)
		}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			if probe != nil && probe.HTTPGet != nil && !listens(container, probe.HTTPGet.Port) {
				r.fault("%s: a probe asks port %s, which no container has", w.Name, probe.HTTPGet.Port.String())
			}
		}
	}
}

func (r *resolver) volume(from string, v corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		r.file(from, "ConfigMap", v.ConfigMap.Name, v.ConfigMap.Items)
	case v.Secret != nil:
		r.file(from, "Secret", v.Secret.SecretName, v.Secret.Items)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil {
				r.file(from, "ConfigMap", source.ConfigMap.Name, source.ConfigMap.Items)
			}
			if source.Secret != nil {
				r.file(from, "Secret", source.Secret.Name, source.Secret.Items)
			}
		}
	case v.PersistentVolumeClaim != nil:
		if !r.claims[v.PersistentVolumeClaim.ClaimName] {
			r.fault("%s: there is no PersistentVolumeClaim %s", from, v.PersistentVolumeClaim.ClaimName)
		}
	}
}

func (r *resolver) variable(from string, env corev1.EnvVar) {
	if env.ValueFrom == nil {
		return
	}
	if ref := env.ValueFrom.ConfigMapKeyRef; ref != nil {
		r.file(from, "ConfigMap", ref.Name, []corev1.KeyToPath{{Key: ref.Key}})
	}
	if ref := env.ValueFrom.SecretKeyRef; ref != nil {
		r.file(from, "Secret", ref.Name, []corev1.KeyToPath{{Key: ref.Key}})
	}
}

func (r *resolver) service(s *corev1.Service, workloads []Pods) {
	selector := labels.SelectorFromSet(s.Spec.Selector)
	found := false
	for _, w := range workloads {
		if len(s.Spec.Selector) == 0 || !selector.Matches(labels.Set(w.Template.Labels)) {
			continue
		}
		found = true
		for _, port := range s.Spec.Ports {
			if !slices.ContainsFunc(w.Template.Spec.Containers, func(c corev1.Container) bool { return listens(c, port.TargetPort) }) {
				r.fault("Service %s: %s has no port %s", s.Name, w.Name, port.TargetPort.String())
			}
		}
	}
	if !found {
		r.fault("Service %s selects no pods", s.Name)
	}
}

func (r *resolver) selects(from string, by *metav1.LabelSelector, workloads []Pods) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		r.fault("%s: %w", from, err)
		return
	}
	if !slices.ContainsFunc(workloads, func(w Pods) bool { return selector.Matches(labels.Set(w.Template.Labels)) }) {
		r.fault("%s selects no pods", from)
	}
}

func listens(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal
	})
}

func keys[V any](m map[string]V) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
