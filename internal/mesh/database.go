package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/httpserver"
	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// migrationRetry is the longest pause between two tries, so that a database
// that comes up is not waited for much longer.
const migrationRetry = 5 * time.Second

// migrate applies the sets where the migrator's URL is configured. As long as
// the database is not there, the service waits and its probes say so.
func (m *Mesh) migrate(ctx context.Context, b config.Backends, sets []migrate.Set) error {
	if b.MigrationDatabaseURLFile == "" || len(sets) == 0 {
		return nil
	}
	up := func(ctx context.Context) error {
		url, err := config.ReadSecretFile(b.MigrationDatabaseURLFile)
		if err != nil {
			return fmt.Errorf("MIGRATION_DATABASE_URL_FILE: %w", err)
		}
		return migrate.Up(ctx, url, sets...)
	}
	if up(ctx) == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	probed, stop := context.WithCancel(ctx)
	group.Go(func() error { return m.serveProbes(probed, "migrations") })
	group.Go(func() error {
		defer stop()
		pauses := backoff.NewExponentialBackOff()
		pauses.MaxInterval = migrationRetry
		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, up(ctx) },
			backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
			backoff.WithNotify(func(err error, pause time.Duration) {
				m.Logger.WarnContext(ctx, "the database could not be migrated, trying again", "error", err, "in", pause)
			}))
		return err
	})
	return group.Wait()
}

// serveProbes answers that the service lives and what it waits for, and refuses
// everything else, until ctx ends.
func (m *Mesh) serveProbes(ctx context.Context, waitingFor string) error {
	health := &httpserver.Health{}
	health.Add(waitingFor, func(context.Context) error { return errWaiting })
	cfg := m.server(health)
	cfg.Ready = nil // it is not
	return httpserver.Serve(ctx, cfg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.ErrUnavailable.After(migrationRetry))
	}))
}

var errWaiting = errors.New("waiting")

// OpenPool opens the runtime role's pool, of at least so many connections unless the
// URL says pool_max_conns.
func OpenPool(ctx context.Context, b config.Backends, atLeast int32) (*pgxpool.Pool, error) {
	url, err := config.ReadSecretFile(b.DatabaseURLFile)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL_FILE: %w", err)
	}
	return postgres.OpenAtLeast(ctx, url, atLeast)
}
