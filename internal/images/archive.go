package images

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteArchive writes one image as a tar file: an OCI image layout, which
// containerd, podman and Docker (25 or newer) load, with the manifest.json that
// older Docker releases look for.
func WriteArchive(file, reference string, image v1.Image) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // images are no secret
		return fmt.Errorf("make the images' folder: %w", err)
	}
	temporary := file + ".new"
	f, err := os.Create(temporary)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	if err := writeLayout(f, reference, image); err != nil {
		_ = f.Close() // the first error is the one to report
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return nil
}

// blobs of an image in the order of their use.
type blob struct {
	digest v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
	raw    []byte
}

func writeLayout(to io.Writer, reference string, image v1.Image) error {
	blobs, layers, err := contents(image)
	if err != nil {
		return err
	}
	manifest, config := blobs[0], blobs[1]
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Size: manifest.size, Digest: manifest.digest,
			Annotations: map[string]string{"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference},
		}},
	})
	if err != nil {
		return fmt.Errorf("encode the index: %w", err)
	}
	docker, err := json.Marshal([]map[string]any{{"Config": blobPath(config.digest), "RepoTags": []string{reference}, "Layers": layers}})
	if err != nil {
		return fmt.Errorf("encode manifest.json: %w", err)
	}
	w := tar.NewWriter(to)
	written := map[v1.Hash]bool{}
	for _, b := range blobs {
		if written[b.digest] {
			continue
		}
		written[b.digest] = true
		if err := writeBlob(w, b); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index}, {"manifest.json", docker}} {
		if err := writeHeader(w, file.name, int64(len(file.content))); err != nil {
			return err
		}
		if _, err := w.Write(file.content); err != nil {
			return fmt.Errorf("write %s: %w", file.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finish the image: %w", err)
	}
	return nil
}

// contents lists the image's blobs, manifest and configuration first, and the
// paths of its layers.
func contents(image v1.Image) (blobs []blob, layers []string, err error) {
	for _, read := range []struct {
		raw    func() ([]byte, error)
		digest func() (v1.Hash, error)
	}{{image.RawManifest, image.Digest}, {image.RawConfigFile, image.ConfigName}} {
		raw, err := read.raw()
		if err != nil {
			return nil, nil, fmt.Errorf("read the image: %w", err)
		}
		digest, err := read.digest()
		if err != nil {
			return nil, nil, fmt.Errorf("digest the image: %w", err)
		}
		blobs = append(blobs, blob{digest: digest, size: int64(len(raw)), raw: raw})
	}
	all, err := image.Layers()
	if err != nil {
		return nil, nil, fmt.Errorf("read the layers: %w", err)
	}
	for _, l := range all {
		digest, err := l.Digest()
		if err != nil {
			return nil, nil, fmt.Errorf("digest a layer: %w", err)
		}
		size, err := l.Size()
		if err != nil {
			return nil, nil, fmt.Errorf("measure a layer: %w", err)
		}
		blobs = append(blobs, blob{digest: digest, size: size, open: l.Compressed})
		layers = append(layers, blobPath(digest))
	}
	return blobs, layers, nil
}

func writeBlob(w *tar.Writer, b blob) error {
	if err := writeHeader(w, blobPath(b.digest), b.size); err != nil {
		return err
	}
	if b.open == nil {
		if _, err := w.Write(b.raw); err != nil {
			return fmt.Errorf("write %s: %w", b.digest, err)
		}
		return nil
	}
	r, err := b.open()
	if err != nil {
		return fmt.Errorf("open %s: %w", b.digest, err)
	}
	defer r.Close() //nolint:errcheck // opened for reading
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("write %s: %w", b.digest, err)
	}
	return nil
}

func writeHeader(w *tar.Writer, name string, size int64) error {
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR})
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
