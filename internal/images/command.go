package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Command is `shadowless images`. Its tags are those of a kong command.
type Command struct {
	Services []string `arg:"" optional:"" help:"Images to build; all of them when none is named."`
	Out      string   `help:"Folder of the archives, <name>.tar." default:"bin/images" type:"path"`
	Tag      string   `help:"Tag of the images." default:"dev"`
	Prefix   string   `help:"What stands before the name in a reference." default:"shadowless"`
	Ref      string   `help:"Whole reference instead of <prefix>/<name>:<tag>; for a single image."`
	Push     bool     `help:"Push to the reference's registry instead of writing an archive."`
	Platform string   `help:"Operating system and architecture; this machine's architecture when empty." placeholder:"linux/amd64"`

	// Source is the folder of the root module; empty finds it.
	Source string `kong:"-"`
}

// Run builds the images and says on out what it made.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	services := c.Services
	if len(services) == 0 {
		services = Services
	}
	for _, service := range services {
		if !slices.Contains(Services, service) {
			return fmt.Errorf("there is no image %q; there are %v", service, Services)
		}
	}
	if c.Ref != "" && len(services) != 1 {
		return errors.New("--ref needs exactly one image")
	}
	wanted := c.Platform
	if wanted == "" {
		wanted = "linux/" + runtime.GOARCH
	}
	platform, err := ParsePlatform(wanted)
	if err != nil {
		return err
	}
	source := c.Source
	if source == "" {
		if source, err = sourceRoot(ctx); err != nil {
			return err
		}
	}
	for _, service := range services {
		image, err := Build(ctx, source, SpecOf(service), platform)
		if err != nil {
			return fmt.Errorf("image %s: %w", service, err)
		}
		if err := c.deliver(ctx, service, image, out); err != nil {
			return fmt.Errorf("image %s: %w", service, err)
		}
	}
	return nil
}

func (c *Command) deliver(ctx context.Context, service string, image v1.Image, out io.Writer) error {
	reference := c.Ref
	if reference == "" {
		reference = fmt.Sprintf("%s/%s:%s", c.Prefix, service, c.Tag)
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return fmt.Errorf("reference: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	where := parsed.Name()
	if c.Push {
		// Credentials come from the Docker configuration file, if there is one.
		if err := remote.Write(parsed, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push to %s: %w", parsed.Context().RegistryStr(), err)
		}
	} else {
		where = filepath.Join(c.Out, service+".tar")
		if err := WriteArchive(where, loadedName(parsed), image); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s  %s  %s\n", reference, digest, where)
	return err
}

// loadedName is the name under which containerd and Docker look an image up:
// they call Docker Hub docker.io, its registry is index.docker.io.
func loadedName(reference name.Reference) string {
	return strings.Replace(reference.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}
