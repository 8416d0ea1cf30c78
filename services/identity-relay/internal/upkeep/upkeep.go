// Package upkeep removes what the relay needs no longer.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/postgres"
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
// messages are still to be deleted. Rows that are locked stay for the next time.
// One table that fails keeps nothing in the others.
func (u Upkeep) Prune(ctx context.Context) error {
	failed := []error{revocations.Prune(ctx, u.Pool)}
	for _, old := range []struct {
		table, key, where string
		age               time.Duration
	}{
		{"deliveries", "source, delivery_id", `received_at < now() - $1::interval ORDER BY received_at`, u.Deliveries},
		// The second condition follows from the first, and there is an index for it.
		{"events", "version", `coalesce(replayed_at, recorded_at) < now() - $1::interval AND recorded_at < now() - $1::interval
			AND stream_sequence IS NOT NULL AND NOT EXISTS (SELECT FROM erasures e
				WHERE e.state NOT IN ('complete', 'withdrawn') AND (e.user_id = events.user_id OR e.id = events.erasure_id)) ORDER BY recorded_at`, u.Events},
		{"reconciliations", "id", `started_at < now() - $1::interval
			AND started_at < (SELECT max(started_at) FROM reconciliations WHERE listed IS NOT NULL) ORDER BY started_at`, u.Reconciliations},
		{"erasure_breaker", "source, minute", `minute < now() - $1::interval`, breaker},
	} {
		err := postgres.InChunks(ctx, u.Pool, `DELETE FROM `+old.table+` WHERE (`+old.key+`) IN (
			SELECT `+old.key+` FROM `+old.table+` WHERE `+old.where+` LIMIT $2 FOR UPDATE SKIP LOCKED)`, old.age)
		if err != nil {
			failed = append(failed, fmt.Errorf("prune %s: %w", old.table, err))
		}
	}
	return errors.Join(failed...)
}
