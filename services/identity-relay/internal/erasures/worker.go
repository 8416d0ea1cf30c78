package erasures

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	pollInterval = 500 * time.Millisecond
	lateInterval = time.Minute
	stepBatch    = 100
	// atOnce is how many erasures are moved on side by side: each step waits for
	// its commit, and Postgres writes several at once. One at a time 56 erasures a
	// second, four 94 (`make bench-identity BENCH_ARGS="-only erasure"`).
	atOnce = 4
)

// Worker moves erasures on: from grace to requested when their time has come,
// and to complete when everybody has answered. Replicas share the work.
type Worker struct {
	Pool      *pgxpool.Pool
	JetStream jetstream.JetStream
	Settings  Settings
	// ManifestSum is the SHA-256 of the relay's own manifest, in hex; its receipt quotes it.
	ManifestSum string
	// Lookup asks the identity provider whether it knows a user; nil asks nobody.
	Lookup func(ctx context.Context, userID string) (found bool, err error)
	// OnAppend is called after events or revocations were committed.
	OnAppend func()
	Log      *slog.Logger

	wake chan struct{}
}

// NewWorker completes w.
func NewWorker(w Worker) *Worker {
	w.wake = make(chan struct{}, 1)
	return &w
}

// Wake makes the worker look now. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var toldLate time.Time
	failing := false
	for {
		more, err := w.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			w.Log.WarnContext(ctx, "erasures do not move on, will retry", "cause", err)
		}
		failing = err != nil
		if time.Since(toldLate) >= lateInterval {
			toldLate = time.Now()
			w.tellLate(ctx)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-ticker.C:
		}
	}
}

// pass moves on what can be moved on, a batch of each kind, so that many
// deletions do not keep those from their end that have all answers. What fails
// holds up nothing else. It reports whether a batch was full.
func (w *Worker) pass(ctx context.Context) (more bool, err error) {
	due, failed := w.requestDue(ctx)
	outdated, err := w.certifyAgain(ctx)
	failed = append(failed, err)
	answered, err := w.answered(ctx)
	failed = append(failed, err)
	unfinished, ended := make([]error, len(answered)), make([]bool, len(answered))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, id := range answered {
		group.Go(func() error {
			ended[i], unfinished[i] = w.finish(ctx, id)
			return nil
		})
	}
	_ = group.Wait()                                                   // none of them fails the group
	full := len(answered) == stepBatch && slices.Contains(ended, true) // those that wait for the stream wait for the next tick
	return due || outdated || full, errors.Join(append(failed, unfinished...)...)
}

// requestDue asks the participants of erasures whose grace is over, and reports
// whether there may be more of them.
func (w *Worker) requestDue(ctx context.Context) (more bool, failed []error) {
	var mu sync.Mutex
	except := []uuid.UUID{} // failed ones are tried once in a pass
	var full atomic.Bool
	var group errgroup.Group
	for range atOnce {
		group.Go(func() error {
			for range stepBatch / atOnce {
				mu.Lock()
				others := slices.Clone(except)
				mu.Unlock()
				id, err := w.requestOne(ctx, others)
				if err != nil {
					mu.Lock()
					failed, except = append(failed, err), append(except, id)
					mu.Unlock()
				}
				switch {
				case id == uuid.Nil:
					return nil
				case err == nil:
					w.OnAppend()
				}
			}
			full.Store(true)
			return nil
		})
	}
	_ = group.Wait() // none of them fails the group
	return full.Load(), failed
}

// requestOne asks for the erasure that has been due for longest, but for some,
// and returns its ID, also where that fails.
func (w *Worker) requestOne(ctx context.Context, except []uuid.UUID) (id uuid.UUID, err error) {
	now := w.Settings.Now().UTC()
	err = w.transact(ctx, func(tx pgx.Tx) error {
		var userID string
		err := tx.QueryRow(ctx, `SELECT id, user_id FROM erasures WHERE state = 'grace' AND grace_until <= $1
			AND ($2 OR checked_at IS NOT NULL OR grace_until <= opened_at)
			-- What is on its way to this ID must arrive first.
			AND NOT EXISTS (SELECT FROM rekeying_users u WHERE u.user_id = erasures.user_id)
			AND NOT id = ANY($3::uuid[])
			ORDER BY grace_until LIMIT 1 FOR UPDATE SKIP LOCKED`, now, w.Lookup == nil, except).Scan(&id, &userID)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read an erasure that is due: %w", err)
		}
		// By the clock of the database, which Register goes by.
		_, err = tx.Exec(ctx, `INSERT INTO erasure_participants (erasure_id, participant)
			SELECT $1, name FROM participants WHERE retired_at IS NULL AND (since <= now() OR name = $2)`, id, Self)
		if err != nil {
			return fmt.Errorf("note who must answer: %w", err)
		}
		_, err = tx.Exec(ctx, `UPDATE erasures SET state = 'requested', requested_at = $2, due_at = $3 WHERE id = $1`,
			id, now, now.Add(w.Settings.Deadline))
		if err != nil {
			return fmt.Errorf("mark erasure as requested: %w", err)
		}
		_, err = ask(ctx, tx, id, userID, now)
		return err
	})
	switch {
	case err != nil && id != uuid.Nil:
		return id, fmt.Errorf("request erasure %s: %w", id, err)
	case err != nil:
		return id, fmt.Errorf("request an erasure: %w", err)
	}
	return id, nil
}

// transact runs fn in a transaction: READ COMMITTED, because what is read after
// waiting for a lock must be newer than the lock.
func (w *Worker) transact(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, w.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// answered lists erasures for which only the relay's own part may be missing.
func (w *Worker) answered(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := w.Pool.Query(ctx, `SELECT id FROM erasures e WHERE state = 'requested' AND NOT EXISTS (
			SELECT FROM erasure_participants p WHERE p.erasure_id = e.id AND p.round = e.round AND p.receipt IS NULL AND p.participant <> $1)
		ORDER BY requested_at LIMIT $2`, Self, stepBatch)
	if err != nil {
		return nil, fmt.Errorf("read answered erasures: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("read answered erasures: %w", err)
	}
	return ids, nil
}

func (w *Worker) tellLate(ctx context.Context) {
	late, err := List(ctx, w.Pool, Filter{Late: true, Limit: stepBatch})
	if err != nil {
		return // the pass has told
	}
	for _, e := range late {
		w.Log.ErrorContext(ctx, "erasure is late", "erasure_id", e.ID, "waiting_for", e.WaitingFor)
	}
}
