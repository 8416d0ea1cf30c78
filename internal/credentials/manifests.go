package credentials

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// sealKeySize of the key that seals the console's sessions, in bytes.
const sealKeySize = 32

func sealKey() string {
	secret := make([]byte, sealKeySize)
	_, _ = rand.Read(secret) // never fails, crypto/rand ends the process instead
	return base64.StdEncoding.EncodeToString(secret) + "\n"
}

// Objects are the Secrets as Kubernetes knows them.
func Objects(namespace string, secrets []Secret) []corev1.Secret {
	objects := make([]corev1.Secret, len(secrets))
	for i, s := range secrets {
		kind := corev1.SecretTypeOpaque
		if s.Type != "" {
			kind = corev1.SecretType(s.Type)
		}
		objects[i] = corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{
				Name: s.Name, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/part-of": "shadowless"},
			},
			Type: kind,
			Data: map[string][]byte{},
		}
		for key, content := range s.Files {
			objects[i].Data[key] = []byte(content)
		}
	}
	return objects
}

// Write prints the Secrets as one YAML stream.
func Write(out io.Writer, namespace string, secrets []Secret) error {
	for _, object := range Objects(namespace, secrets) {
		raw, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("encode secret %s: %w", object.Name, err)
		}
		if _, err := fmt.Fprintf(out, "---\n%s", raw); err != nil {
			return fmt.Errorf("write the secrets: %w", err)
		}
	}
	return nil
}

// Command is `shadowless k8s secrets`. Its tags are those of a kong command.
type Command struct {
	Overlay string `help:"Overlay of deploy/k8s/overlays." enum:"dev,prod" default:"dev"`
	File    string `help:"Where what was made is remembered; its owner alone may read it." type:"path" placeholder:"PATH"`
	Given   string `help:"Folder with <secret>/<key> files to use instead of making them." type:"path" placeholder:"DIR"`

	// StateDir is where File is when it is not set.
	StateDir string `kong:"-"`
}

// Run prints the Secrets on out, for kubectl apply -f -.
func (c *Command) Run(_ context.Context, out io.Writer) error {
	overlay, err := OverlayNamed(c.Overlay)
	if err != nil {
		return err
	}
	file := c.File
	if file == "" {
		file = filepath.Join(c.StateDir, "k8s", overlay.Name+".json")
	}
	secrets, err := Generate(Options{Overlay: overlay, File: file, Given: c.Given})
	if err != nil {
		return err
	}
	return Write(out, overlay.Namespace, secrets)
}
