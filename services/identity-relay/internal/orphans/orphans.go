// Package orphans finds user IDs that services hold and the identity provider
// does not know. It changes nothing about any user.
//
// The rule is reconciliation's: participants are read before the identity
// provider's list, so whoever signs up in between is only in the second, and
// whoever is missing is looked up alone before they are called an orphan. Where
// an audit stands is kept in the relay's database, page by page: another replica
// goes on with it after a crash, and erasures reach the IDs in it.
package orphans

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

const (
	pollInterval = 5 * time.Second
	saveTimeout  = 10 * time.Second
	// retention is how long findings, and the IDs in them, are kept.
	retention = 7 * 24 * time.Hour
	// holderPage bounds how many advisory locks a page takes: PostgreSQL has room
	// for 6,400 with its defaults.
	holderPage = 500
	// maxUnanswered ends an audit whose look-ups keep failing.
	maxUnanswered = 20
)

// Errors that stop an audit; each is what operators read.
var (
	errHolders    = errors.New("not every participant told its user IDs")
	errEmptyList  = errors.New("the identity provider listed no users")
	errList       = errors.New("the identity provider's list could not be read whole")
	errUnanswered = errors.New("the identity provider does not answer look-ups")
)

// ErrNotFound is returned for an audit that does not exist, or not any more.
var ErrNotFound = errors.New("no such audit")

// Auditor runs audits, one at a time among all replicas.
type Auditor struct {
	Pool       *pgxpool.Pool
	Peers      []peers.Peer
	Users      userlist.Source
	Namespace  string
	Tombstones *participant.Tombstones
	Now        func() time.Time
	Log        *slog.Logger

	wake chan struct{}
}

// New completes a.
func New(a Auditor) *Auditor {
	a.wake = make(chan struct{}, 1)
	return &a
}

// Start begins an audit; Run carries it out.
func (a *Auditor) Start(ctx context.Context, partial bool) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return id, fmt.Errorf("make an audit ID: %w", err)
	}
	err = pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO orphan_audits (id, state, phase, partial, started_at) VALUES ($1, 'running', 'holders', $2, $3)`,
			id, partial, a.Now().UTC())
		if err != nil {
			return err
		}
		for _, p := range a.Peers {
			if _, err := tx.Exec(ctx, `INSERT INTO orphan_audit_holders (audit_id, holder) VALUES ($1, $2)`, id, p.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return id, fmt.Errorf("start an audit: %w", err)
	}
	a.poke()
	return id, nil
}

// Resume lets a stopped audit go on where it stopped. One that waits for a
// participant asks it again before it reads the list: the list must be the later
// of the two. One that runs is left alone.
func (a *Auditor) Resume(ctx context.Context, id uuid.UUID, partial bool) error {
	tag, err := a.Pool.Exec(ctx, `UPDATE orphan_audits SET
			state = CASE WHEN state = 'stopped' THEN 'running' ELSE state END,
			problem = CASE WHEN state = 'stopped' THEN '' ELSE problem END,
			partial = partial OR $2
		WHERE id = $1`, id, partial)
	if err != nil {
		return fmt.Errorf("resume an audit: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	a.poke()
	return nil
}

func (a *Auditor) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run carries audits out until ctx ends, also those that another replica began
// and did not finish.
func (a *Auditor) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	failing := false
	for {
		err := a.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			a.Log.WarnContext(ctx, "audits of orphans do not go on, will retry", "cause", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-ticker.C:
		}
	}
}

func (a *Auditor) pass(ctx context.Context) error {
	if _, err := a.Pool.Exec(ctx, `DELETE FROM orphan_audits WHERE started_at < $1`, a.Now().Add(-retention)); err != nil {
		return fmt.Errorf("forget old audits: %w", err)
	}
	for {
		var id uuid.UUID
		err := a.Pool.QueryRow(ctx, `SELECT id FROM orphan_audits WHERE state = 'running' ORDER BY started_at LIMIT 1`).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for an audit: %w", err)
		}
		mine, err := a.exclusive(ctx, func() error { return a.carryOut(ctx, id) })
		if err != nil || !mine {
			return err
		}
	}
}

// exclusive runs fn while no other replica audits.
func (a *Auditor) exclusive(ctx context.Context, fn func() error) (mine bool, err error) {
	conn, err := a.Pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	const lock = `(hashtextextended('identity-relay audit of orphans', 0))`
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+lock).Scan(&mine); err != nil || !mine {
		return false, err
	}
	defer func() {
		unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
		if _, err := conn.Exec(unlocking, `SELECT pg_advisory_unlock`+lock); err != nil {
			_ = conn.Conn().Close(unlocking) // the lock goes with the session
		}
	}()
	return true, fn()
}

// carryOut does what is left of one audit. What stops it is stored; what is
// returned is tried again.
func (a *Auditor) carryOut(ctx context.Context, id uuid.UUID) error {
	err := a.phases(ctx, id)
	if err == nil {
		_, err = a.Pool.Exec(ctx, `UPDATE orphan_audits SET state = 'finished', phase = 'done', finished_at = $2 WHERE id = $1`, id, a.Now().UTC())
		if err != nil {
			return fmt.Errorf("finish an audit: %w", err)
		}
		return nil
	}
	for _, stops := range []error{errHolders, errEmptyList, errList, errUnanswered} {
		if !errors.Is(err, stops) || ctx.Err() != nil {
			continue
		}
		a.Log.WarnContext(ctx, "an audit of orphans stopped", "audit_id", id, "cause", err)
		if _, err := a.Pool.Exec(ctx, `UPDATE orphan_audits SET state = 'stopped', problem = $2 WHERE id = $1`, id, stops.Error()); err != nil {
			return fmt.Errorf("stop an audit: %w", err)
		}
		return nil
	}
	return err
}

func (a *Auditor) phases(ctx context.Context, id uuid.UUID) error {
	for {
		var phase string
		if err := a.Pool.QueryRow(ctx, `SELECT phase FROM orphan_audits WHERE id = $1`, id).Scan(&phase); err != nil {
			return fmt.Errorf("read an audit: %w", err)
		}
		var next string
		var err error
		switch phase {
		case "holders":
			next, err = "list", a.readHolders(ctx, id)
		case "list":
			next, err = "lookups", a.readList(ctx, id)
		case "lookups":
			next, err = "done", a.lookUp(ctx, id)
		default:
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := a.Pool.Exec(ctx, `UPDATE orphan_audits SET phase = $2 WHERE id = $1`, id, next); err != nil {
			return fmt.Errorf("go on with an audit: %w", err)
		}
	}
}

// readList takes out whom the identity provider names. It can be repeated.
func (a *Auditor) readList(ctx context.Context, id uuid.UUID) error {
	if _, err := a.Pool.Exec(ctx, `UPDATE orphan_audits SET listed = 0 WHERE id = $1`, id); err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	listed := 0
	err := a.Users.Each(ctx, func(users []userlist.User) error {
		ids := make([]string, len(users))
		for i, u := range users {
			ids[i] = u.ID
		}
		listed += len(ids)
		return pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM orphan_audit_ids WHERE audit_id = $1 AND finding = 'held' AND user_id = ANY($2)`, id, ids)
			if err == nil {
				_, err = tx.Exec(ctx, `UPDATE orphan_audits SET listed = listed + $2 WHERE id = $1`, id, len(ids))
			}
			return err
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errList, err)
	case listed == 0:
		return errEmptyList // else everybody would be an orphan
	default:
		return nil
	}
}

// lookUp asks about each user alone whom the list did not name.
func (a *Auditor) lookUp(ctx context.Context, id uuid.UUID) error {
	unanswered, after := 0, ""
	for {
		var userID string
		err := a.Pool.QueryRow(ctx, `SELECT user_id FROM orphan_audit_ids
			WHERE audit_id = $1 AND finding = 'held' AND user_id > $2 ORDER BY user_id LIMIT 1`, id, after).Scan(&userID)
		if errors.Is(err, pgx.ErrNoRows) {
			if unanswered > 0 {
				return fmt.Errorf("%w: %d times", errUnanswered, unanswered)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read whom to look up: %w", err)
		}
		after = userID
		_, found, err := a.Users.Lookup(ctx, userID)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if unanswered++; unanswered >= maxUnanswered {
				return fmt.Errorf("%w: %w", errUnanswered, err)
			}
			continue
		}
		if err := a.settle(ctx, id, userID, found); err != nil {
			return err
		}
	}
}

func (a *Auditor) settle(ctx context.Context, id uuid.UUID, userID string, found bool) error {
	err := pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
		statement := `UPDATE orphan_audit_ids SET finding = CASE WHEN EXISTS (
				SELECT FROM erasures WHERE user_id = $2 AND state IN ('held', 'grace', 'requested')) THEN 'erasing' ELSE 'orphan' END
			WHERE audit_id = $1 AND user_id = $2`
		if found {
			statement = `DELETE FROM orphan_audit_ids WHERE audit_id = $1 AND user_id = $2`
		}
		if _, err := tx.Exec(ctx, statement, id, userID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE orphan_audits SET looked_up = looked_up + 1 WHERE id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("settle a look-up: %w", err)
	}
	return nil
}

func (a *Auditor) foreign(userID string) bool { return !strings.HasPrefix(userID, a.Namespace) }
