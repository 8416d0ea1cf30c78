package audit

import (
	"context"
	"log/slog"
	"time"
)

const (
	pruneEvery = time.Hour
	// pruneBatch keeps each deletion short: nothing else waits for it.
	pruneBatch = 5000
)

// Pruner deletes what is older than a time, at most a number of rows, and says
// how many there were. Where another replica prunes already, there are none.
type Pruner interface {
	Prune(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Retention deletes records that are old enough.
type Retention struct {
	Store  Pruner
	Keep   time.Duration // zero: for ever
	Logger *slog.Logger
	Now    func() time.Time
}

// Run prunes at once and then hourly until ctx ends, and returns nil.
func (r Retention) Run(ctx context.Context) error {
	if r.Keep <= 0 {
		return nil
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if n, err := r.prune(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "old audit records could not be deleted", "cause", err)
		} else if n > 0 {
			r.Logger.InfoContext(ctx, "old audit records were deleted", "count", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (r Retention) prune(ctx context.Context) (total int64, err error) {
	before := r.Now().Add(-r.Keep)
	for ctx.Err() == nil {
		n, err := r.Store.Prune(ctx, before, pruneBatch)
		total += n
		if err != nil || n < pruneBatch {
			return total, err
		}
	}
	return total, nil
}
