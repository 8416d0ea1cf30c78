package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// migrationPatience is how long a start waits for a database that is not up yet.
const migrationPatience = time.Minute

// Migrate applies the sets where the migrator's URL is configured.
func Migrate(ctx context.Context, b config.Backends, sets []migrate.Set, log *slog.Logger) error {
	if b.MigrationDatabaseURLFile == "" || len(sets) == 0 {
		return nil
	}
	url, err := config.ReadSecretFile(b.MigrationDatabaseURLFile)
	if err != nil {
		return fmt.Errorf("MIGRATION_DATABASE_URL_FILE: %w", err)
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, migrate.Up(ctx, url, sets...) },
		backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(migrationPatience),
		backoff.WithNotify(func(err error, wait time.Duration) {
			log.WarnContext(ctx, "migrating the database failed, trying again", "error", err, "in", wait)
		}))
	return err
}

// OpenPool opens the runtime role's pool.
func OpenPool(ctx context.Context, b config.Backends) (*pgxpool.Pool, error) {
	url, err := config.ReadSecretFile(b.DatabaseURLFile)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL_FILE: %w", err)
	}
	return postgres.Open(ctx, url)
}
