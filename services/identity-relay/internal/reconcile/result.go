package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

const saveTimeout = 5 * time.Second

// States of a pass.
const (
	Running  = "running"
	Finished = "finished"
	Failed   = "failed"
)

// ErrNotFound is returned by Get.
var ErrNotFound = errors.New("no such reconciliation")

// Result of one pass: counts, no IDs.
type Result struct {
	ID           uuid.UUID           `json:"id"`
	State        string              `json:"state"`
	StartedAt    time.Time           `json:"started_at"`
	FinishedAt   *time.Time          `json:"finished_at,omitempty"`
	Participants []ParticipantResult `json:"participants"`
	// Held users, of whom somebody holds data; Listed users at the identity provider.
	Held   int `json:"held"`
	Listed int `json:"listed"`
	// Missing are held, not listed, not under erasure and not erased before.
	Missing      int `json:"missing"`
	UnderErasure int `json:"under_erasure"`
	// Erased users were erased before and are held again: by a backup that was
	// restored, or a participant that joined later. Reopened erasures ask for them
	// again, Postponed ones do so in a later pass.
	Erased    int `json:"erased"`
	Reopened  int `json:"reopened"`
	Postponed int `json:"postponed"`
	// Rescued users were back before their data was touched.
	Rescued int `json:"rescued"`
	// Known are missing users who exist after all, Waiting those who wait for
	// their second look-up, Deleted those whose erasure was opened.
	Known   int `json:"known"`
	Waiting int `json:"waiting"`
	Deleted int `json:"deleted"`
	// Banned and Unbanned are changes that nobody had told.
	Banned   int `json:"banned"`
	Unbanned int `json:"unbanned"`
	// Unanswered look-ups decided nothing.
	Unanswered int `json:"unanswered"`
	// Problem is why the pass failed.
	Problem string `json:"problem,omitempty"`
}

// ParticipantResult is what one holder told.
type ParticipantResult struct {
	Name    string `json:"name"`
	UserIDs int    `json:"user_ids"`
	Problem string `json:"problem,omitempty"`
}

// problemOf is the public name of what made a pass fail; the cause is logged.
func problemOf(err error) string {
	for _, known := range []error{
		ErrEmptyList, ErrShrunk, ErrNoHolder, ErrInProgress, errUnanswered, userlist.ErrIncomplete, userlist.ErrAnswer,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errors.Is(err, context.Canceled) {
		return "the relay was stopped"
	}
	return "the pass could not be finished"
}

func (p *pass) save(ctx context.Context) error {
	raw, err := json.Marshal(p.result)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	// Only a list that was believed is a measure for the next one.
	var listed *int
	if p.result.State == Finished {
		listed = &p.result.Listed
	}
	_, err = p.Pool.Exec(ctx, `INSERT INTO reconciliations (id, state, started_at, finished_at, listed, result)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET
		state = excluded.state, finished_at = excluded.finished_at, listed = excluded.listed, result = excluded.result`,
		p.result.ID, p.result.State, p.result.StartedAt, p.result.FinishedAt, listed, raw)
	if err != nil {
		return fmt.Errorf("store the result: %w", err)
	}
	return nil
}

func (p *pass) lastListed(ctx context.Context) (n int, err error) {
	err = p.Pool.QueryRow(ctx, `SELECT listed FROM reconciliations WHERE listed IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1`).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the size of the last list: %w", err)
	}
	return n, nil
}

// exclusive lets one pass run at a time, over all replicas.
func (p *pass) exclusive(ctx context.Context) (release func(), err error) {
	conn, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var mine bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('identity-relay reconciliation', 0))`).Scan(&mine)
	if err != nil || !mine {
		conn.Release()
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		return nil, ErrInProgress
	}
	return func() {
		unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
		if _, err := conn.Exec(unlocking, `SELECT pg_advisory_unlock_all()`); err != nil {
			_ = conn.Conn().Close(unlocking) // the lock goes with the session
		}
		conn.Release()
	}, nil
}

// Get returns the result of one pass, or ErrNotFound.
func (r *Reconciler) Get(ctx context.Context, id uuid.UUID) (Result, error) {
	var raw []byte
	err := r.Pool.QueryRow(ctx, `SELECT result FROM reconciliations WHERE id = $1`, id).Scan(&raw)
	if errors.Is(err, pgx.ErrNoRows) {
		return Result{}, ErrNotFound
	}
	if err != nil {
		return Result{}, fmt.Errorf("read reconciliation: %w", err)
	}
	var result Result
	if err := json.Unmarshal(raw, &result); err != nil {
		return Result{}, fmt.Errorf("read reconciliation: %w", err)
	}
	return result, nil
}
