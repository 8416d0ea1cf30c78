package deploy

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Restricted finds pods that the "restricted" Pod Security Standard refuses,
// as the admission controller of the cluster decides it, and what this project
// asks beyond it.
func Restricted(c *Cluster) ([]error, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		return nil, fmt.Errorf("load the pod security checks: %w", err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	var faults []error
	for _, w := range c.Workloads() {
		spec := &w.Template.Spec
		for _, result := range evaluator.EvaluatePod(level, &w.Template.ObjectMeta, spec) {
			if !result.Allowed {
				faults = append(faults, fmt.Errorf("%s: %s: %s", w.Name, result.ForbiddenReason, result.ForbiddenDetail))
			}
		}
		faults = append(faults, beyondRestricted(w)...)
	}
	return faults, nil
}

func beyondRestricted(w Pods) []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(w.Name+": "+format, args...))
	}
	spec := &w.Template.Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		fault("automountServiceAccountToken must be false")
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		fault("enableServiceLinks must be false")
	}
	for _, c := range spec.Containers {
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			fault("container %s: readOnlyRootFilesystem must be true", c.Name)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			fault("container %s: requests and a memory limit must be set", c.Name)
		}
		if strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
			fault("container %s: image %s has no fixed tag", c.Name, c.Image)
		}
		for _, env := range c.Env {
			if secretRef(env) {
				fault("container %s: %s takes a secret into the environment; mount a file", c.Name, env.Name)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil {
				fault("container %s: Secret %s is taken into the environment; mount files", c.Name, from.SecretRef.Name)
			}
		}
	}
	return faults
}

func secretRef(env corev1.EnvVar) bool {
	return env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil
}

// Probed finds servers without probes, HTTPS ones of ours that do not ask
// /livez and /readyz, and pods that end before they have drained.
func Probed(c *Cluster) []error {
	var faults []error
	for _, w := range c.Workloads() {
		if strings.HasPrefix(w.Name, "Job ") {
			continue
		}
		for _, container := range w.Template.Spec.Containers {
			for _, fault := range unprobed(container) {
				faults = append(faults, fmt.Errorf("%s: container %s %s", w.Name, container.Name, fault))
			}
			if strings.HasPrefix(w.Name, "Deployment ") {
				for _, fault := range notOurs(container) {
					faults = append(faults, fmt.Errorf("%s: container %s %s", w.Name, container.Name, fault))
				}
			}
		}
	}
	return faults
}

func unprobed(c corev1.Container) []string {
	var faults []string
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if probe == nil {
			faults = append(faults, "has no "+name+" probe")
		}
	}
	return faults
}

// notOurs is what our own servers have beyond any other.
func notOurs(c corev1.Container) []string {
	var faults []string
	for path, probe := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe != nil && (probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Scheme != corev1.URISchemeHTTPS) {
			faults = append(faults, "must be asked for "+path+" over HTTPS")
		}
	}
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		faults = append(faults, "stops listening before its endpoint is forgotten")
	}
	return faults
}
