// Package postgres opens a service's pool: spans without arguments (they would
// hold user IDs), bounded waiting, and a readiness check.
package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout   = 5 * time.Second
	statementTimeout = "15s" // above the slowest statement of a request, below its deadline
	lockTimeout      = "5s"
)

// Open makes the pool and does not wait for the server: a service starts while
// its database is down and says so in /readyz.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) { return OpenAtLeast(ctx, url, 0) }

// OpenAtLeast is Open for a service whose own work holds connections: where the URL
// does not say pool_max_conns the pool may have at least so many. pgx's default is
// four, or the number of processors.
func OpenAtLeast(ctx context.Context, url string, connections int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// pgx's own text quotes the URL with its password removed.
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	stated, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	// For pgx alone it is a parameter like any other.
	if _, says := stated.RuntimeParams["pool_max_conns"]; !says {
		cfg.MaxConns = max(cfg.MaxConns, connections)
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = statementTimeout
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = lockTimeout
	cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithDisableSQLStatementInAttributes())
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	return pool, nil
}
