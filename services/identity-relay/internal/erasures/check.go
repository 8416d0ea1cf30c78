package erasures

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	checkInterval = time.Second
	checkTimeout  = 10 * time.Second
	// checkRetry is how long a user is not asked about again after no answer.
	checkRetry = 30 * time.Second
)

// Check asks the identity provider, at the end of each grace period, whether the
// user is back, until ctx ends. Who is found is let in again and loses nothing.
//
// The look-up can only save: no answer within the deadline lets the erasure go
// on, since its source has said that the user is gone, or reconciliation has
// found it out twice.
func (w *Worker) Check(ctx context.Context) error {
	if w.Lookup == nil {
		return nil
	}
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = w.checkOne(ctx); err != nil {
				if ctx.Err() == nil {
					w.Log.WarnContext(ctx, "the identity provider could not be asked at the end of a grace period, will retry", "cause", err)
				}
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w *Worker) checkOne(ctx context.Context) (found bool, err error) {
	now := w.Settings.Now().UTC()
	var id uuid.UUID
	var userID string
	var graceUntil time.Time
	// A lease, so that replicas do not ask twice and a crash loses nothing.
	err = w.Pool.QueryRow(ctx, `UPDATE erasures SET next_check_at = $2 WHERE id = (
			SELECT id FROM erasures WHERE state = 'grace' AND grace_until <= $1 AND checked_at IS NULL AND grace_until > opened_at
				AND (next_check_at IS NULL OR next_check_at <= $1) ORDER BY grace_until LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, user_id, grace_until`, now, now.Add(checkRetry)).Scan(&id, &userID, &graceUntil)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read an erasure whose grace is over: %w", err)
	}
	asking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	there, failed := w.Lookup(asking, userID)
	switch {
	case failed != nil && (ctx.Err() != nil || now.Sub(graceUntil) < w.Settings.Deadline):
		return true, failed
	case failed != nil:
		w.Log.WarnContext(ctx, "an erasure goes on although the identity provider does not answer", "erasure_id", id, "cause", failed)
	case there:
		return true, w.rescue(ctx, id, userID, now)
	}
	if _, err := w.Pool.Exec(ctx, `UPDATE erasures SET checked_at = $2 WHERE id = $1 AND state = 'grace' AND grace_until = $3`, id, now, graceUntil); err != nil {
		return true, fmt.Errorf("note the look-up: %w", err)
	}
	w.Wake()
	return true, nil
}

func (w *Worker) rescue(ctx context.Context, id uuid.UUID, userID string, lookedUpAt time.Time) error {
	err := w.transact(ctx, func(tx pgx.Tx) error {
		_, err := Rescue(ctx, tx, w.Settings, userID, lookedUpAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("withdraw erasure: %w", err)
	}
	w.OnAppend()
	w.Log.InfoContext(ctx, "erasure withdrawn: the identity provider knows the user", "erasure_id", id)
	return nil
}

// Reappeared decides where a look-up found the user.
var Reappeared = Decider{By: Self, Reason: "the identity provider knows the user"}

// Waiting reports whether an erasure of the user is open that has asked nobody yet.
func Waiting(ctx context.Context, tx pgx.Tx, userID string) (waiting bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasures WHERE user_id = $1 AND state IN ('grace', 'held'))`, userID).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("look for an erasure that waits: %w", err)
	}
	return waiting, nil
}
