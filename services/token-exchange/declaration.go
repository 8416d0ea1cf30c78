package tokenexchange

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

const declareRetry = time.Second

// declaration applies the clients file once per start, as soon as the database
// answers.
type declaration struct {
	registry clients.Registry
	hashes   *keyring.Ring
	file     clients.File
	log      *slog.Logger
	applied  atomic.Bool
}

func newDeclaration(r clients.Registry, hashes *keyring.Ring, file clients.File, log *slog.Logger) *declaration {
	return &declaration{registry: r, hashes: hashes, file: file, log: log}
}

// Run ends when the file is applied or ctx ends. A file that can never be
// applied is an error.
func (d *declaration) Run(ctx context.Context) error {
	for {
		err := clients.Apply(ctx, d.registry, d.hashes, d.file)
		switch {
		case err == nil:
			d.applied.Store(true)
			d.log.InfoContext(ctx, "clients declared", "count", len(d.file.Clients))
			return nil
		case errors.Is(err, api.ErrKeyFile), errors.Is(err, clients.ErrKeyTaken), errors.Is(err, clients.ErrWorkloadTaken):
			return err
		}
		d.log.WarnContext(ctx, "the clients file is not applied yet", "cause", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(declareRetry):
		}
	}
}

// Ready returns nil once the file is applied.
func (d *declaration) Ready(context.Context) error {
	if !d.applied.Load() {
		return errors.New("the clients file is not applied yet")
	}
	return nil
}
