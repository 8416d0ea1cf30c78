package measure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Steady calls send at a rate, whatever its calls take, from so many goroutines;
// due is when the call's turn was: waiting for a free goroutine counts. It ends
// after the first error.
func Steady(ctx context.Context, workers int, rate float64, d time.Duration, send func(ctx context.Context, i int, due time.Time) error) error {
	count := int(rate * d.Seconds())
	start := time.Now()
	return each(ctx, workers, func(i int) (time.Time, bool) {
		return start.Add(time.Duration(float64(i) / rate * float64(time.Second))), i < count
	}, send)
}

// Full calls send as fast as the goroutines let it for d, or limit times, and
// returns how often.
func Full(ctx context.Context, workers, limit int, d time.Duration, send func(ctx context.Context, i int, due time.Time) error) (int, error) {
	end := time.Now().Add(d)
	var sent atomic.Int64
	err := each(ctx, workers, func(i int) (time.Time, bool) {
		now := time.Now()
		return now, i < limit && now.Before(end)
	}, func(ctx context.Context, i int, due time.Time) error {
		sent.Add(1)
		return send(ctx, i, due)
	})
	return int(sent.Load()), err
}

func each(ctx context.Context, workers int, next func(i int) (due time.Time, more bool), send func(ctx context.Context, i int, due time.Time) error) error {
	var turn atomic.Int64
	var failed atomic.Pointer[error]
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for failed.Load() == nil && ctx.Err() == nil {
				i := int(turn.Add(1)) - 1
				due, more := next(i)
				if !more {
					return
				}
				time.Sleep(time.Until(due))
				if err := send(ctx, i, due); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	done.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}
