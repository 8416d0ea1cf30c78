package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/measure"
)

// latency of one measurement.
type latency struct{ p50, p99 time.Duration }

func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	return latency{measure.At(took, 0.5), measure.At(took, 0.99)}
}

// speed is how long something takes at a rate, and how much of it there can be.
type speed struct {
	latencies []latency
	maxima    []float64
}

// floors is what the machine does at best: one row committed, one message
// published and acknowledged.
type floors struct {
	pool            *pgxpool.Pool
	js              jetstream.JetStream
	commit, publish speed
}

const (
	floorStream = "BENCH"
	floorRate   = 100
	noLimit     = math.MaxInt
)

var floorPayload = make([]byte, 1024)

func (s *system) openFloors(ctx context.Context) (*floors, error) {
	pool, err := s.benchDatabase(ctx, "bench_floor")
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE floor (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea NOT NULL)`); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make a table: %w", err)
	}
	_, err = s.js.CreateStream(ctx, jetstream.StreamConfig{Name: floorStream, Subjects: []string{"bench.>"}, Storage: jetstream.FileStorage})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("make a stream: %w", err)
	}
	return &floors{pool: pool, js: s.js}, nil
}

func (f *floors) commitOne(ctx context.Context, _ int, _ time.Time) error {
	_, err := f.pool.Exec(ctx, `INSERT INTO floor (payload) VALUES ($1)`, floorPayload)
	return err
}

func (f *floors) publishOne(ctx context.Context, _ int, _ time.Time) error {
	_, err := f.js.Publish(ctx, "bench.x", floorPayload)
	return err
}

// round measures both once, one after another and one at a time: that is how
// versions are given.
func (f *floors) round(ctx context.Context, lasting time.Duration) error {
	for _, floor := range []struct {
		into *speed
		do   func(context.Context, int, time.Time) error
	}{{&f.commit, f.commitOne}, {&f.publish, f.publishOne}} {
		took, err := steady(ctx, 4, floorRate, lasting, floor.do)
		if err != nil {
			return err
		}
		floor.into.latencies = append(floor.into.latencies, latencyOf(took))
		begun := time.Now()
		n, err := measure.Full(ctx, 1, noLimit, lasting/3, floor.do)
		if err != nil {
			return err
		}
		floor.into.maxima = append(floor.into.maxima, float64(n)/time.Since(begun).Seconds())
	}
	return nil
}

func (f *floors) close() { f.pool.Close() }

// steady is measure.Steady with how long each took from its turn on.
func steady(ctx context.Context, workers int, rate float64, d time.Duration, do func(context.Context, int, time.Time) error) ([]time.Duration, error) {
	took := make([]atomic.Int64, int(rate*d.Seconds()))
	err := measure.Steady(ctx, workers, rate, d, func(ctx context.Context, i int, due time.Time) error {
		err := do(ctx, i, due)
		took[i].Store(int64(time.Since(due)))
		return err
	})
	all := make([]time.Duration, len(took))
	for i := range took {
		all[i] = time.Duration(took[i].Load())
	}
	return all, err
}
