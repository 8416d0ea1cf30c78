// Package keyage reports keys that are in use for longer than their plan wants.
package keyage

import (
	"context"
	"log/slog"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

const (
	lookEvery = time.Hour
	// maxReported bounds the lines of one look.
	maxReported = 100
)

// Store lists keys.
type Store interface {
	KeysFrom(ctx context.Context, before time.Time, limit int) ([]store.OldKey, error)
}

// Watch looks for keys that are too old.
type Watch struct {
	Store  Store
	Policy policy.Policy
	Logger *slog.Logger
	Now    func() time.Time
}

// Run looks at once and then hourly until ctx ends, and returns nil. Each key
// that is too old is one line at level WARN.
func (w Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "the age of keys could not be looked at", "cause", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w Watch) look(ctx context.Context) error {
	least, limited := w.least()
	if !limited {
		return nil
	}
	keys, err := w.Store.KeysFrom(ctx, w.Now().Add(-least), maxReported)
	if err != nil {
		return err
	}
	for _, k := range keys {
		plan, err := w.Policy.PlanOf(k.Plan)
		age := w.Now().Sub(k.CreatedAt)
		if err != nil || plan.MaxKeyAge <= 0 || age <= plan.MaxKeyAge {
			continue
		}
		w.Logger.WarnContext(ctx, "an API key is older than it should become: rotate it",
			"client_id", k.ClientID, "key_id", k.KeyID, "age", age.Truncate(time.Hour).String(), "max_age", plan.MaxKeyAge.String())
	}
	return nil
}

// least is the smallest maximum age of any plan.
func (w Watch) least() (least time.Duration, limited bool) {
	consider := func(age time.Duration) {
		if age > 0 && (!limited || age < least) {
			least, limited = age, true
		}
	}
	consider(w.Policy.Keys.MaxAge)
	for _, plan := range w.Policy.Plans {
		consider(plan.MaxKeyAge)
	}
	return least, limited
}
