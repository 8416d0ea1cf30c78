package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

const (
	rereadInterval = time.Second
	rereadTimeout  = 10 * time.Second
	firstRetry     = 2 * time.Second
	lastRetry      = 10 * time.Minute
	maxDoublings   = 9
)

// requestReread notes that the identity provider must be asked about the user.
func requestReread(ctx context.Context, tx pgx.Tx, userID string, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO rereads (user_id, due_at) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0`, userID, at)
	if err != nil {
		return fmt.Errorf("request a look-up: %w", err)
	}
	return nil
}

// Standing is what the identity provider says of a user now.
type Standing struct {
	Found  bool
	Banned bool
}

// Lookup asks the identity provider about one user.
type Lookup func(ctx context.Context, userID string) (Standing, error)

// Rereader asks about users whose state a webhook could not tell, and records
// what it hears.
type Rereader struct {
	Pool     *pgxpool.Pool
	Recorder *Recorder
	Lookup   Lookup
	Log      *slog.Logger

	wake chan struct{}
}

// NewRereader completes r.
func NewRereader(r Rereader) *Rereader {
	r.wake = make(chan struct{}, 1)
	return &r
}

// Wake makes it look now. It never blocks.
func (r *Rereader) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends and returns nil.
func (r *Rereader) Run(ctx context.Context) error {
	ticker := time.NewTicker(rereadInterval)
	defer ticker.Stop()
	for {
		for {
			more, err := r.one(ctx)
			if err != nil && ctx.Err() == nil {
				r.Log.WarnContext(ctx, "a user could not be looked up, will retry", "cause", err)
			}
			if !more || err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-ticker.C:
		}
	}
}

// one takes a lease on the next user by moving the due time on: another
// replica, or this one after a crash, tries again then.
func (r *Rereader) one(ctx context.Context) (more bool, err error) {
	var userID string
	var attempts int
	var lease time.Time
	err = r.Pool.QueryRow(ctx, `UPDATE rereads SET attempts = attempts + 1,
			due_at = now() + least($1 * power(2, least(attempts, $2)), $3) * interval '1 second'
		WHERE user_id = (SELECT user_id FROM rereads WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING user_id, attempts, due_at`,
		firstRetry.Seconds()+rereadTimeout.Seconds(), maxDoublings, lastRetry.Seconds()).Scan(&userID, &attempts, &lease)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read who must be looked up: %w", err)
	}
	askedAt := r.Recorder.Now()
	looking, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	standing, err := r.Lookup(looking, userID)
	if err != nil {
		return true, fmt.Errorf("attempt %d: %w", attempts, err)
	}
	return true, r.Recorder.Transact(ctx, func(tx pgx.Tx) error {
		// The user first: who erases them holds that lock when it deletes the row.
		if err := erasures.LockUser(ctx, tx, userID, false); err != nil {
			return err
		}
		// Asked again in the meantime: then this answer may be old, and the
		// next one follows.
		if _, err := tx.Exec(ctx, `DELETE FROM rereads WHERE user_id = $1 AND due_at = $2`, userID, lease); err != nil {
			return fmt.Errorf("note the look-up: %w", err)
		}
		if !standing.Found {
			return nil // reconciliation decides about missing users, not one look-up
		}
		_, err := r.Recorder.Record(ctx, tx, StandingFact(userID, standing, SourceReconciliation, r.Recorder.Now()))
		if err != nil {
			return err
		}
		_, err = erasures.Withdraw(ctx, tx, r.Recorder.Erasures, userID, askedAt, erasures.Reappeared)
		return err
	})
}

// StandingFact is the fact that a user is banned, or is not.
func StandingFact(userID string, s Standing, source string, at time.Time) Fact {
	f := Fact{Source: source, Type: "user.standing", Kind: UserUnbanned, UserID: userID, OccurredAt: at}
	if s.Banned {
		f.Kind = UserBanned
	}
	return f
}
