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
	if err := errors.Join(err, File(f).faults(path, Validate), File(f).shared(path)); err != nil {
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

// shared names workloads that more than one client has.
func (f File) shared(where string) error {
	var faults []error
	owner := map[api.Workload]string{}
	for _, c := range f.Clients {
		for _, w := range c.Workloads {
			if other, taken := owner[w]; taken && other != c.ID {
				faults = append(faults, fmt.Errorf("%s: the workload %s of %s is %s's and %s's: %w", where, w.Subject, w.Issuer, other, c.ID, ErrWorkloadTaken))
			}
			owner[w] = c.ID
		}
	}
	return errors.Join(faults...)
}

var (
	// ErrKeyTaken: the key belongs to another client.
	ErrKeyTaken = errors.New("the API key belongs to another client")
	// ErrWorkloadTaken: the workload is another client.
	ErrWorkloadTaken = errors.New("the workload belongs to another client")
)

// Registry is what the file is applied to.
type Registry interface {
	// Declare creates the client or brings its registration up to the file's;
	// ErrWorkloadTaken if one of its workloads is another client.
	Declare(ctx context.Context, spec api.ClientSpec) error
	// ImportKey adds a key by its hash, or hashes a known one anew; it never
	// revives a revoked one. ErrKeyTaken if another client has it.
	ImportKey(ctx context.Context, clientID, keyID string, h keyring.Hashed) error
}

// Apply brings the registry up to the file.
func Apply(ctx context.Context, r Registry, hashes *keyring.Ring, f File) error {
	if err := declare(ctx, r, f.Clients); err != nil {
		return err
	}
	for _, c := range f.Clients {
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

// declare goes through the clients again while that helps: a workload may move to
// one that stands before the one that gives it up.
func declare(ctx context.Context, r Registry, list []api.DeclaredClient) error {
	for {
		var waiting []api.DeclaredClient
		var taken error
		for _, c := range list {
			switch err := r.Declare(ctx, c.ClientSpec); {
			case errors.Is(err, ErrWorkloadTaken):
				waiting, taken = append(waiting, c), fmt.Errorf("declare client %s: %w", c.ID, err)
			case err != nil:
				return fmt.Errorf("declare client %s: %w", c.ID, err)
			}
		}
		if len(waiting) == 0 || len(waiting) == len(list) {
			return taken
		}
		list = waiting
	}
}
