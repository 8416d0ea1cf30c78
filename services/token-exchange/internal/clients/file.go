package clients

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

// File declares clients. It is applied at every start, again and again with the
// same result; what was blocked or revoked stays so.
type File api.ClientsFile

// LoadFile reads and checks the file. Every fault is named.
func LoadFile(path string) (File, error) {
	f, err := api.LoadClientsFile(path)
	if err := errors.Join(err, File(f).faults(path, Validate)); err != nil {
		return File{}, err
	}
	return File(f), nil
}

// Check holds the registrations to the plans of the policy.
func (f File) Check(p policy.Policy) error { return f.faults("clients", p.CheckClient) }

func (f File) faults(where string, check func(api.ClientSpec) error) error {
	var faults []error
	for i, c := range f.Clients {
		if err := check(c.ClientSpec); err != nil {
			faults = append(faults, fmt.Errorf("clients[%d] (%s): %w", i, c.ID, err))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s: %w", where, errors.Join(faults...))
	}
	return nil
}

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
			key, err := api.ReadKeyFile(path)
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
