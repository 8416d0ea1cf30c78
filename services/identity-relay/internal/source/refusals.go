// Package source is what the sources of facts have in common: the count of what
// they were refused for.
package source

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	flushInterval = 5 * time.Second
	flushTimeout  = 5 * time.Second
)

// Refusals counts what was refused, by source and reason, over all replicas and
// restarts. Counting costs no database access: whoever sends rubbish must not
// make the relay write a row for each piece.
type Refusals struct {
	Pool *pgxpool.Pool
	Log  *slog.Logger

	mu      sync.Mutex
	pending map[refusalKey]refusal
}

type refusalKey struct{ source, reason string }

type refusal struct {
	count int64
	last  time.Time
}

// Add counts one. Both names must come from this program, never from a sender.
func (r *Refusals) Add(source, reason string) {
	r.add(refusalKey{source, reason}, refusal{1, time.Now()})
}

func (r *Refusals) add(key refusalKey, more refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[refusalKey]refusal{}
	}
	sum := r.pending[key]
	sum.count += more.count
	if more.last.After(sum.last) {
		sum.last = more.last
	}
	r.pending[key] = sum
}

// Run stores the counts now and then until ctx ends, and once more at the end.
func (r *Refusals) Run(ctx context.Context) error {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		err := r.Flush(flushing)
		cancel()
		if err != nil {
			r.Log.WarnContext(ctx, "counts of refusals were not stored, will retry", "cause", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Flush stores what was counted since the last time. What could not be stored
// is kept.
func (r *Refusals) Flush(ctx context.Context) error {
	r.mu.Lock()
	pending := r.pending
	r.pending = nil
	r.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for key, sum := range pending {
		batch.Queue(`INSERT INTO refusals AS r (source, reason, count, last_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (source, reason) DO UPDATE SET count = r.count + excluded.count, last_at = greatest(r.last_at, excluded.last_at)`,
			key.source, key.reason, sum.count, sum.last)
	}
	// One transaction: all of the batch or nothing, or a retry would count twice.
	err := pgx.BeginFunc(ctx, r.Pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err == nil {
		return nil
	}
	for key, sum := range pending {
		r.add(key, sum)
	}
	return fmt.Errorf("store refusals: %w", err)
}

// Refusal is the count of one reason.
type Refusal struct {
	Source string
	Reason string
	Count  int64
	LastAt time.Time
}

// List returns all counts. Those of another replica may be a moment old.
func (r *Refusals) List(ctx context.Context) ([]Refusal, error) {
	if err := r.Flush(ctx); err != nil {
		return nil, err
	}
	rows, err := r.Pool.Query(ctx, `SELECT source, reason, count, last_at FROM refusals ORDER BY source, reason`)
	if err != nil {
		return nil, fmt.Errorf("read refusals: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Refusal])
	if err != nil {
		return nil, fmt.Errorf("read refusals: %w", err)
	}
	return list, nil
}

// Deliveries is how many deliveries of a source ended one way, of those that
// are still remembered.
type Deliveries struct {
	Source  string
	Outcome string
	Count   int64
}

// Taken counts the deliveries that were taken.
func Taken(ctx context.Context, pool *pgxpool.Pool) ([]Deliveries, error) {
	rows, err := pool.Query(ctx, `SELECT source, outcome, count(*) FROM deliveries GROUP BY source, outcome ORDER BY source, outcome`)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Deliveries])
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	return list, nil
}
