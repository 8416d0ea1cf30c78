package images_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/images"
)

var hello = images.Spec{Name: "hello", Package: "./testdata/hello"}

func build(t *testing.T) v1.Image {
	t.Helper()
	image, err := images.Build(t.Context(), ".", hello, images.Platform{OS: "linux", Architecture: "amd64"})
	require.NoError(t, err)
	return image
}

func files(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	headers := map[string]*tar.Header{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return headers
		}
		require.NoError(t, err)
		headers[strings.Trim(header.Name, "/")] = header
	}
}

func content(t *testing.T, r io.Reader, path string) []byte {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		require.NoError(t, err, path)
		if strings.TrimPrefix(header.Name, "/") == path {
			raw, err := io.ReadAll(archive)
			require.NoError(t, err)
			return raw
		}
	}
}

func TestBuild_RunsAStaticProgramWithoutPrivileges(t *testing.T) {
	t.Parallel()
	image := build(t)

	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/hello"}, config.Config.Entrypoint)
	require.Equal(t, "linux", config.OS)
	require.Equal(t, "amd64", config.Architecture)

	flat := mutate.Extract(image)
	defer flat.Close() //nolint:errcheck // in memory
	headers := files(t, flat)
	require.Equal(t, int64(0o555), headers["hello"].Mode&0o777)
	require.Equal(t, int64(0o1777), headers["tmp"].Mode&0o1777)
	require.Contains(t, headers, "etc/passwd")

	flat = mutate.Extract(image)
	binary, err := elf.NewFile(bytes.NewReader(content(t, flat, "hello")))
	require.NoError(t, err)
	libraries, err := binary.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries, "the image has no libraries to load")

	flat = mutate.Extract(image)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(content(t, flat, "etc/ssl/certs/ca-certificates.crt")))
}

func TestBuild_GivesTheSameBytesTwice(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "1.tar"), filepath.Join(t.TempDir(), "2.tar")
	require.NoError(t, images.WriteArchive(first, "shadowless/hello:dev", build(t)))
	require.NoError(t, images.WriteArchive(second, "shadowless/hello:dev", build(t)))
	a, err := os.ReadFile(first)
	require.NoError(t, err)
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	require.True(t, bytes.Equal(a, b))
}

func TestWriteArchive_IsAnOCILayoutThatDockerLoadsToo(t *testing.T) {
	t.Parallel()
	image, path := build(t), filepath.Join(t.TempDir(), "images", "hello.tar")
	require.NoError(t, images.WriteArchive(path, "docker.io/shadowless/hello:dev", image))
	want, err := image.Digest()
	require.NoError(t, err)

	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // opened for reading
	var index v1.IndexManifest
	require.NoError(t, json.Unmarshal(content(t, f, "index.json"), &index))
	require.Len(t, index.Manifests, 1)
	require.Equal(t, want, index.Manifests[0].Digest)
	require.Equal(t, "docker.io/shadowless/hello:dev", index.Manifests[0].Annotations["io.containerd.image.name"])

	tag, err := name.NewTag("shadowless/hello:dev")
	require.NoError(t, err)
	loaded, err := tarball.ImageFromPath(path, &tag)
	require.NoError(t, err, "as `docker load` reads it")
	require.NoError(t, validate.Image(loaded))
	wantConfig, err := image.ConfigName()
	require.NoError(t, err)
	gotConfig, err := loaded.ConfigName()
	require.NoError(t, err)
	require.Equal(t, wantConfig, gotConfig)
}

func TestCommand_PushesToARegistry(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/shadowless/hello:abc")
	require.NoError(t, err)
	image := build(t)
	require.NoError(t, remote.Write(reference, image))
	pulled, err := remote.Image(reference)
	require.NoError(t, err)
	require.NoError(t, validate.Image(pulled))
}

func TestCommand_RefusesWhatItCannotBuild(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command images.Command
		says    string
	}{
		"unknown image":          {images.Command{Services: []string{"accounts"}}, "there is no image"},
		"one reference for many": {images.Command{Ref: "r/x:1"}, "--ref needs exactly one image"},
		"another system":         {images.Command{Services: []string{"orders"}, Platform: "windows/amd64"}, "must be linux/"},
		"not a reference":        {images.Command{Services: []string{"orders"}, Platform: "linux"}, "must be linux/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, c.command.Run(t.Context(), io.Discard), c.says)
		})
	}
}

func TestBuild_SaysWhyItFailed(t *testing.T) {
	t.Parallel()
	_, err := images.Build(t.Context(), ".", images.Spec{Name: "x", Package: "./testdata/absent"}, images.Platform{OS: "linux", Architecture: "amd64"})
	require.ErrorContains(t, err, "testdata/absent")
}
