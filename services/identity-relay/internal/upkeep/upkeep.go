// Package upkeep removes what the relay needs no longer.
package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

const interval = 10 * time.Minute

// breaker is how long the minutes of the breaker are kept; it looks at an hour.
const breaker = 2 * time.Hour

// Upkeep prunes by age.
type Upkeep struct {
	Pool *pgxpool.Pool
	// Deliveries are remembered for so long, which is longer than a source repeats them.
	Deliveries time.Duration
	// Events are kept for so long, to be published again; published ones only.
	Events time.Duration
	// Reconciliations are kept for so long, but for the last one.
	Reconciliations time.Duration
	Log             *slog.Logger
}

// Run prunes until ctx ends and returns nil.
func (u Upkeep) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := u.Prune(ctx); err != nil && ctx.Err() == nil {
			u.Log.WarnContext(ctx, "old rows were not removed", "cause", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Prune removes what is old now. Events of an erasure under way stay: their
// messages are still to be deleted.
func (u Upkeep) Prune(ctx context.Context) error {
	if err := revocations.Prune(ctx, u.Pool); err != nil {
		return err
	}
	for _, statement := range []struct {
		sql string
		age time.Duration
	}{
		{`DELETE FROM deliveries WHERE received_at < now() - $1::interval`, u.Deliveries},
		{`DELETE FROM events v WHERE coalesce(replayed_at, recorded_at) < now() - $1::interval AND stream_sequence IS NOT NULL AND NOT EXISTS (
			SELECT FROM erasures e WHERE e.state NOT IN ('complete', 'withdrawn') AND (e.user_id = v.user_id OR e.id = v.erasure_id))`, u.Events},
		{`DELETE FROM reconciliations WHERE started_at < now() - $1::interval
			AND started_at < (SELECT max(started_at) FROM reconciliations WHERE listed IS NOT NULL)`, u.Reconciliations},
		{`DELETE FROM erasure_breaker WHERE minute < now() - $1::interval`, breaker},
	} {
		if _, err := u.Pool.Exec(ctx, statement.sql, statement.age); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}
