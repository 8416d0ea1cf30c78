package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// patience is how long Trigger waits for the result before it says that the
// pass goes on. It lies under the server's time for an answer.
const patience = 20 * time.Second

type request struct {
	id      uuid.UUID
	options Options
	done    chan Result
}

// Run does a pass at each interval and on request, until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	var tick <-chan time.Time
	if r.Settings.Interval > 0 {
		ticker := time.NewTicker(r.Settings.Interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make a reconciliation ID: %w", err)
			}
			r.do(ctx, id, Options{})
		case asked := <-r.requests:
			asked.done <- r.do(ctx, asked.id, asked.options)
		}
	}
}

// Trigger asks Run for a pass and returns its result, or the running state if it
// takes long. It returns ErrInProgress while another pass keeps this one waiting.
func (r *Reconciler) Trigger(ctx context.Context, options Options) (Result, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Result{}, fmt.Errorf("make a reconciliation ID: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := request{id: id, options: options, done: make(chan Result, 1)}
	select {
	case r.requests <- asked:
	case <-ctx.Done():
		return Result{}, ErrInProgress
	}
	select {
	case result := <-asked.done:
		if result.Problem == ErrInProgress.Error() {
			return result, ErrInProgress
		}
		return result, nil
	case <-ctx.Done():
	}
	result, err := r.Get(context.WithoutCancel(ctx), id)
	if errors.Is(err, ErrNotFound) {
		return Result{}, ErrInProgress
	}
	return result, err
}
