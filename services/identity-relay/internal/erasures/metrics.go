package erasures

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const stateKey = attribute.Key("state")

// Observe registers how many erasures are open, by state, and how many are late:
// shadowless.erasures.open and shadowless.erasures.late. Every replica tells the
// same numbers, so take the largest. unregister ends it.
func (w *Worker) Observe(meter metric.Meter) (unregister func() error, err error) {
	open, err := meter.Int64ObservableGauge("shadowless.erasures.open",
		metric.WithDescription("erasures that are not complete, by state"), metric.WithUnit("{erasure}"))
	if err != nil {
		return nil, fmt.Errorf("make a gauge: %w", err)
	}
	late, err := meter.Int64ObservableGauge("shadowless.erasures.late",
		metric.WithDescription("erasures whose deadline has passed without every receipt"), metric.WithUnit("{erasure}"))
	if err != nil {
		return nil, fmt.Errorf("make a gauge: %w", err)
	}
	registration, err := meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		var held, grace, requested, overdue int64
		err := w.Pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'held'), count(*) FILTER (WHERE state = 'grace'),
			count(*) FILTER (WHERE state = 'requested'), count(*) FILTER (WHERE state = 'requested' AND due_at < now())
			FROM erasures WHERE state <> 'complete'`).Scan(&held, &grace, &requested, &overdue)
		if err != nil {
			return fmt.Errorf("count open erasures: %w", err)
		}
		for state, n := range map[State]int64{Held: held, Grace: grace, Requested: requested} {
			o.ObserveInt64(open, n, metric.WithAttributes(stateKey.String(string(state))))
		}
		o.ObserveInt64(late, overdue)
		return nil
	}, open, late)
	if err != nil {
		return nil, fmt.Errorf("observe erasures: %w", err)
	}
	return registration.Unregister, nil
}
