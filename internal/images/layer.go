package images

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// epoch is the time of every file: what does not change keeps its digest.
var epoch = time.Unix(0, 0).UTC()

// entry of a layer. A nil content is a folder.
type entry struct {
	path    string
	mode    int64
	content []byte
	owner   int
}

// base is what a static Go program expects of a machine: who it is, whom it
// trusts, and a place for temporary files (over which Kubernetes mounts an
// emptyDir, because the root file system is read-only there).
func base() []entry {
	return []entry{
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{path: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{path: "etc/ssl/", mode: 0o755},
		{path: "etc/ssl/certs/", mode: 0o755},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots()},
		{path: "home/", mode: 0o755},
		{path: "home/nonroot/", mode: 0o700, owner: UserID},
		{path: "tmp/", mode: 0o1777},
	}
}

// roots are Mozilla's certificate authorities as PEM, from a pinned module and
// not from the machine that builds. A root that Mozilla limits to a date or to
// names is left out: a PEM file cannot carry the limit.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return out.Bytes()
}

// program is the layer that changes with every build.
func program(path, binary string) ([]entry, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	return []entry{{path: path, mode: 0o555, content: content}}, nil
}

func layer(entries []entry) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		header := &tar.Header{
			Name: e.path, Mode: e.mode, Size: int64(len(e.content)), Uid: e.owner, Gid: e.owner,
			ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if e.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("add %s to the layer: %w", e.path, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("add %s to the layer: %w", e.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finish the layer: %w", err)
	}
	content := archive.Bytes()
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithCompressedCaching, tarball.WithMediaType(ociLayer))
}
