package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Render is `kustomize build`.
func Render(folder string) ([]byte, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", folder, err)
	}
	return built.AsYaml()
}

// Cluster is what an overlay and its Secrets would apply.
type Cluster struct {
	Objects []runtime.Object
}

// Decode reads manifests strictly: unknown or doubled fields and unknown kinds
// are errors. Every document's fault is reported.
func Decode(manifests []byte) (*Cluster, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("learn the kinds: %w", err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	c := &Cluster{}
	var faults []error
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return c, errors.Join(faults...)
		}
		if err != nil {
			return nil, fmt.Errorf("split the manifests: %w", err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		c.Objects = append(c.Objects, object)
	}
}

// of lists the objects of one kind.
func of[T runtime.Object](c *Cluster) []T {
	var found []T
	for _, object := range c.Objects {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// Pods are what makes pods, with the template and the name to report.
type Pods struct {
	Name     string // "Deployment orders"
	App      string // label app.kubernetes.io/name
	Template *corev1.PodTemplateSpec
	Claims   []corev1.PersistentVolumeClaim
}

// Workloads lists everything that makes pods.
func (c *Cluster) Workloads() []Pods {
	var all []Pods
	add := func(kind string, meta metav1.ObjectMeta, template *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) {
		all = append(all, Pods{Name: kind + " " + meta.Name, App: template.Labels[appLabel], Template: template, Claims: claims})
	}
	for _, d := range of[*appsv1.Deployment](c) {
		add("Deployment", d.ObjectMeta, &d.Spec.Template, nil)
	}
	for _, s := range of[*appsv1.StatefulSet](c) {
		add("StatefulSet", s.ObjectMeta, &s.Spec.Template, s.Spec.VolumeClaimTemplates)
	}
	for _, j := range of[*batchv1.Job](c) {
		add("Job", j.ObjectMeta, &j.Spec.Template, nil)
	}
	return all
}

const appLabel = "app.kubernetes.io/name"
