// Package statements is billing's nightly job. It runs as the service, with no
// user and no token: what it reads and writes is billing's own.
package statements

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/shadowless/shadowless/services/billing/domain"
)

// batch is how many customers are listed at once.
const batch = 500

// Store is what the job needs.
type Store interface {
	// Customers lists owners of invoices of the month in order, behind after.
	Customers(ctx context.Context, month time.Time, after domain.Owner, limit int) ([]domain.Owner, error)
	// WriteStatement computes one customer's month; false for an erased user.
	WriteStatement(ctx context.Context, owner domain.Owner, month, now time.Time) (bool, error)
}

// Job computes statements.
type Job struct {
	store Store
	now   func() time.Time
	log   *slog.Logger
}

// New makes the job.
func New(store Store, now func() time.Time, log *slog.Logger) *Job {
	return &Job{store: store, now: now, log: log}
}

// Result counts what one run did.
type Result struct{ Written, Erased int }

// Compute writes the statements of the month that contains at, UTC. Running it
// again computes them anew.
func (j *Job) Compute(ctx context.Context, at time.Time) (Result, error) {
	at = at.UTC()
	month := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	var result Result
	var after domain.Owner
	for {
		owners, err := j.store.Customers(ctx, month, after, batch)
		if err != nil {
			return result, err
		}
		for _, owner := range owners {
			written, err := j.store.WriteStatement(ctx, owner, month, j.now().UTC())
			if err != nil {
				return result, fmt.Errorf("write a statement: %w", err)
			}
			if written {
				result.Written++
			} else {
				result.Erased++
			}
			after = owner
		}
		if len(owners) < batch {
			return result, nil
		}
	}
}

// Run computes the running month and the one before, at once and at each tick,
// until ctx ends: a service that is restarted more often than it ticks must not
// go without. A run that fails is repeated by the next.
func (j *Job) Run(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		now := j.now().UTC()
		for _, at := range []time.Time{now.AddDate(0, 0, -now.Day()), now} {
			j.compute(ctx, at)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (j *Job) compute(ctx context.Context, at time.Time) {
	result, err := j.Compute(ctx, at)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		j.log.ErrorContext(ctx, "statements failed", "error", err)
	default:
		j.log.InfoContext(ctx, "statements computed", "month", at.Format("2006-01"), "written", result.Written, "erased", result.Erased)
	}
}
