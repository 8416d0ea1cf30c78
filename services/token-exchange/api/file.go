package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ClientsFile declares clients: what TOKEN_EXCHANGE_CLIENTS_FILE and
// `shadowless clients apply` read.
type ClientsFile struct {
	Clients []DeclaredClient `yaml:"clients"`
}

// DeclaredClient is one client of the file.
type DeclaredClient struct {
	ClientSpec `yaml:",inline"`
	// KeyFiles hold API keys that were generated elsewhere. A relative path is
	// looked for beside the file that names it.
	KeyFiles []string `yaml:"key_files"`
}

// ErrKeyFile: a key file cannot be read or holds no key.
var ErrKeyFile = errors.New("key file")

// LoadClientsFile reads the file strictly. What it says about each client is
// for the service to judge. With a file whose clients could be read and are not
// acceptable together, it returns both them and the error.
func LoadClientsFile(path string) (ClientsFile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ClientsFile{}, fmt.Errorf("read the clients file: %w", err)
	}
	var f ClientsFile
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return ClientsFile{}, fmt.Errorf("%s: %w", path, err)
	}
	var faults []error
	seen := map[string]bool{}
	for i := range f.Clients {
		c := &f.Clients[i]
		if seen[c.ID] {
			faults = append(faults, fmt.Errorf("clients[%d] (%s): declared twice", i, c.ID))
		}
		seen[c.ID] = true
		for j, name := range c.KeyFiles {
			if !filepath.IsAbs(name) {
				c.KeyFiles[j] = filepath.Join(filepath.Dir(path), name)
			}
		}
	}
	if len(faults) > 0 {
		return f, fmt.Errorf("%s: %w", path, errors.Join(faults...))
	}
	return f, nil
}

// ReadKeyFile reads an API key. The error wraps ErrKeyFile and never quotes it.
func ReadKeyFile(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	raw, err := io.ReadAll(io.LimitReader(f, 4*MaxKeyLength))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	key, err := ParseKey(strings.TrimRight(string(raw), "\r\n"))
	if err != nil {
		return Key{}, fmt.Errorf("%w %s: %w", ErrKeyFile, path, err)
	}
	return key, nil
}
