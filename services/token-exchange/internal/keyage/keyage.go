// Package keyage reports keys that are in use for longer than their plan wants.
package keyage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

const (
	lookEvery = time.Hour
	// maxReported bounds the lines of one look, and what Metric counts.
	maxReported = 100
)

// Metric is a gauge: how many API keys are older than their plan wants, as of the
// last look. Alert on anything above zero; log and `shadowless keys list` say
// which.
const Metric = "shadowless.token_exchange.api_keys.overdue"

// Store lists keys.
type Store interface {
	KeysFrom(ctx context.Context, before time.Time, limit int) ([]store.OldKey, error)
}

// Watch looks for keys that are too old.
type Watch struct {
	Store  Store
	Policy policy.Policy
	Meter  metric.Meter
	Logger *slog.Logger
	Now    func() time.Time
}

// Run looks at once and then hourly until ctx ends, and returns nil. Each key
// that is too old is one line at level WARN, and Metric counts them.
func (w Watch) Run(ctx context.Context) error {
	overdue, err := w.Meter.Int64Gauge(Metric, metric.WithUnit("{key}"), metric.WithDescription("API keys that are older than their plan wants"))
	if err != nil {
		return fmt.Errorf("make the gauge of overdue keys: %w", err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		n, err := w.look(ctx)
		switch {
		case err == nil:
			overdue.Record(ctx, n)
		case ctx.Err() == nil:
			w.Logger.WarnContext(ctx, "the age of keys could not be looked at", "cause", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reports each key that is too old, and counts them.
func (w Watch) look(ctx context.Context) (overdue int64, err error) {
	least, limited := w.least()
	if !limited {
		return 0, nil
	}
	keys, err := w.Store.KeysFrom(ctx, w.Now().Add(-least), maxReported)
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		plan, err := w.Policy.PlanOf(k.Plan)
		age := w.Now().Sub(k.CreatedAt)
		if err != nil || plan.MaxKeyAge <= 0 || age <= plan.MaxKeyAge {
			continue
		}
		overdue++
		w.Logger.WarnContext(ctx, "an API key is older than it should become: rotate it",
			"client_id", k.ClientID, "key_id", k.KeyID, "age", age.Truncate(time.Hour).String(), "max_age", plan.MaxKeyAge.String())
	}
	return overdue, nil
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
