package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// File declares clients. It is applied at every start, again and again with the
// same result; what was blocked or revoked stays so.
type File struct {
	Clients []Declared `yaml:"clients"`
}

// Declared is one client of the file.
type Declared struct {
	api.ClientSpec `yaml:",inline"`
	// KeyFiles hold API keys that were generated elsewhere; their hashes are imported.
	KeyFiles []string `yaml:"key_files"`
}

// LoadFile reads and checks the file. Every fault is named.
func LoadFile(path string) (File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return File{}, fmt.Errorf("read the clients file: %w", err)
	}
	var f File
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	var faults []error
	seen := map[string]bool{}
	for i, c := range f.Clients {
		if err := Validate(c.ClientSpec); err != nil {
			faults = append(faults, fmt.Errorf("clients[%d] (%s): %w", i, c.ID, err))
		}
		if seen[c.ID] {
			faults = append(faults, fmt.Errorf("clients[%d] (%s): declared twice", i, c.ID))
		}
		seen[c.ID] = true
	}
	if len(faults) > 0 {
		return File{}, fmt.Errorf("%s: %w", path, errors.Join(faults...))
	}
	return f, nil
}

// ErrKeyFile: a key file cannot be read or holds no key.
var ErrKeyFile = errors.New("key file")

// ErrKeyTaken: the key belongs to another client.
var ErrKeyTaken = errors.New("the API key belongs to another client")

// Registry is what the file is applied to.
type Registry interface {
	// Declare creates the client or brings its registration up to the file's.
	Declare(ctx context.Context, spec api.ClientSpec) error
	// ImportKey adds a key by its hash, or hashes a known one anew; it never
	// revives a revoked one. ErrKeyTaken if another client has it.
	ImportKey(ctx context.Context, clientID, keyID string, h keyring.Hashed) error
}

// Apply brings the registry up to the file.
func Apply(ctx context.Context, r Registry, hashes *keyring.Ring, f File) error {
	for _, c := range f.Clients {
		if err := r.Declare(ctx, c.ClientSpec); err != nil {
			return fmt.Errorf("declare client %s: %w", c.ID, err)
		}
		for _, path := range c.KeyFiles {
			key, err := readKey(path)
			if err != nil {
				return fmt.Errorf("client %s: %w", c.ID, err)
			}
			if err := r.ImportKey(ctx, c.ID, key.ID(), hashes.Hash(keyring.PurposeAPIKey, key.Reveal())); err != nil {
				return fmt.Errorf("client %s: import %s: %w", c.ID, path, err)
			}
		}
	}
	return nil
}

func readKey(path string) (api.Key, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return api.Key{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	key, err := api.ParseKey(strings.TrimRight(string(raw), "\r\n"))
	if err != nil {
		return api.Key{}, fmt.Errorf("%w %s: %w", ErrKeyFile, path, err)
	}
	return key, nil
}
