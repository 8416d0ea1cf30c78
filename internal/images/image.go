package images

import (
	"context"
	"fmt"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// module is where the services live.
const module = "github.com/shadowless/shadowless"

// UserID is the unprivileged user and group that every image runs as.
const UserID = 65532

const ociLayer = types.OCILayer

// Spec says what one image holds.
type Spec struct {
	// Name of the program; it is the image's entry point, /<Name>.
	Name string
	// Package is the Go main package: ./services/orders/cmd/orders.
	Package string
}

// Operator is the command that declares streams and provisions databases.
const Operator = "shadowless"

// Services that have an image, in the order in which they are built.
var Services = []string{"orders", "billing", "token-exchange", "identity-relay", "console", "dev-idp", Operator}

// SpecOf is the image of a service.
func SpecOf(service string) Spec {
	if service == Operator {
		return Spec{Name: service, Package: "./cmd/" + service}
	}
	return Spec{Name: service, Package: "./" + path.Join("services", service, "cmd", service)}
}

// Build compiles the program from the sources in dir and puts it into an image.
func Build(ctx context.Context, dir string, spec Spec, platform Platform) (v1.Image, error) {
	work, err := os.MkdirTemp("", "shadowless-image-")
	if err != nil {
		return nil, fmt.Errorf("make a work folder: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary folder
	binary, err := compile(ctx, dir, spec.Package, spec.Name, platform, work)
	if err != nil {
		return nil, err
	}
	added, err := program(spec.Name, binary)
	if err != nil {
		return nil, err
	}
	return assemble(spec.Name, platform, base(), added)
}

func assemble(name string, platform Platform, contents ...[]entry) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, entries := range contents {
		l, err := layer(entries)
		if err != nil {
			return nil, err
		}
		if image, err = mutate.Append(image, mutate.Addendum{
			Layer: l, MediaType: ociLayer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "shadowless images"},
		}); err != nil {
			return nil, fmt.Errorf("add a layer: %w", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Created = v1.Time{Time: epoch}
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", UserID, UserID),
		WorkingDir: "/home/nonroot",
		Entrypoint: []string{"/" + name},
		Env:        []string{"PATH=/", "HOME=/home/nonroot", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels:     map[string]string{"org.opencontainers.image.title": name, "org.opencontainers.image.licenses": "Apache-2.0"},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("set the image's configuration: %w", err)
	}
	return image, nil
}
