package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
)

// Stages of an event, in their order.
const (
	committed = iota // the webhook was answered
	published        // JetStream's own time of the message
	firstInbox
)

const stages = firstInbox + participants

// track follows the events of one measurement; an event's index is its user.
type track struct {
	due  []atomic.Int64 // Unix nanoseconds
	at   [stages][]atomic.Int64
	left atomic.Int64
	done chan struct{}
}

func newTrack(n int) *track {
	t := &track{due: make([]atomic.Int64, n), done: make(chan struct{})}
	for stage := range t.at {
		t.at[stage] = make([]atomic.Int64, n)
	}
	return t
}

func (t *track) reached(stage, i int, at time.Time) {
	if i >= len(t.due) || !t.at[stage][i].CompareAndSwap(0, at.UnixNano()) {
		return
	}
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// expect says how many events there are, all stages to come; those that were
// reached before count.
func (t *track) expect(n int) {
	if t.left.Add(int64(n)*stages) == 0 {
		close(t.done)
	}
}

// tookTo lists how long the events took to a stage, or to the last of several.
func (t *track) tookTo(n int, from, to int) []time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		for stage := from; stage <= to; stage++ {
			took[i] = max(took[i], time.Duration(t.at[stage][i].Load()-t.due[i].Load()))
		}
	}
	return took
}

// line is the pipeline under measurement.
type line struct {
	s       *system
	inboxes []*inbox
	current atomic.Pointer[track]
	watch   jetstream.ConsumeContext
}

func (s *system) openLine(ctx context.Context) (*line, error) {
	l := &line{s: s}
	l.current.Store(newTrack(0))
	var err error
	l.inboxes, err = s.openInboxes(ctx, func(participant, user int, at time.Time) {
		l.current.Load().reached(firstInbox+participant, user, at)
	})
	if err != nil {
		l.close(ctx)
		return nil, err
	}
	watcher, err := s.js.OrderedConsumer(ctx, streams.Identity, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		l.close(ctx)
		return nil, fmt.Errorf("watch the stream: %w", err)
	}
	l.watch, err = watcher.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil {
			return
		}
		if e, err := identity.Decode(m.Data()); err == nil {
			if i, ok := indexOf(e.UserID); ok {
				l.current.Load().reached(published, i, meta.Timestamp)
			}
		}
	})
	if err != nil {
		l.close(ctx)
		return nil, fmt.Errorf("watch the stream: %w", err)
	}
	return l, nil
}

// ready sends until an event comes out everywhere: the ordered consumer begins
// some time after it was asked for.
func (l *line) ready(ctx context.Context) error {
	t := newTrack(1)
	t.expect(1)
	l.current.Store(t)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if err := l.send(t)(ctx, 0, time.Now()); err != nil {
			return err
		}
		select {
		case <-t.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (l *line) close(ctx context.Context) {
	if l.watch != nil {
		l.watch.Stop()
	}
	l.s.closeInboxes(ctx, l.inboxes)
}

func (l *line) send(t *track) func(context.Context, int, time.Time) error {
	return func(ctx context.Context, i int, due time.Time) error {
		t.due[i].Store(due.UnixNano())
		if err := l.s.webhooks.send(ctx, "user.updated", profile(userID(i))); err != nil {
			return err
		}
		t.reached(committed, i, time.Now())
		return nil
	}
}

const patience = 2 * time.Minute

var errLost = errors.New("events did not arrive within two minutes")

func (t *track) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("%w: %d are missing", errLost, t.left.Load())
	}
}

// at measures a rate: how long to the commit, to the stream, to the last inbox.
func (l *line) at(ctx context.Context, rate float64) (toCommit, toStream, toInboxes latency, err error) {
	n := int(rate * l.s.lasting.Seconds())
	t := newTrack(n)
	l.current.Store(t)
	if err := measure.Steady(ctx, l.s.connections, rate, l.s.lasting, l.send(t)); err != nil {
		return toCommit, toStream, toInboxes, err
	}
	t.expect(n)
	if err := t.wait(ctx); err != nil {
		return toCommit, toStream, toInboxes, err
	}
	return latencyOf(t.tookTo(n, committed, committed)), latencyOf(t.tookTo(n, published, published)),
		latencyOf(t.tookTo(n, firstInbox, stages-1)), nil
}

// most is the sustained maximum: what goes in as fast as it is taken, divided by
// the time until it has come out everywhere. What waits in between counts.
func (l *line) most(ctx context.Context) (perSecond, taken float64, err error) {
	const capacity = 100_000
	t := newTrack(capacity)
	l.current.Store(t)
	begun := time.Now()
	n, err := measure.Full(ctx, l.s.connections, capacity, l.s.lasting, l.send(t))
	if err != nil {
		return 0, 0, err
	}
	taken = float64(n) / time.Since(begun).Seconds()
	t.expect(n)
	if err := t.wait(ctx); err != nil {
		return 0, 0, err
	}
	return float64(n) / time.Since(begun).Seconds(), taken, nil
}

const pipelineRate = 100

type pipelineResult struct {
	commit, stream, inboxes []latency // at pipelineRate
	most, taken             []float64
	halfRate                []float64
	half                    []latency
}

func pipeline(ctx context.Context, s *system, r *report, c *constants) error {
	f, err := s.openFloors(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	l, err := s.openLine(ctx)
	if err != nil {
		return err
	}
	defer l.close(context.WithoutCancel(ctx))
	progress("pipeline: warming up")
	if err := l.ready(ctx); err != nil {
		return err
	}
	if _, _, _, err := l.at(ctx, pipelineRate); err != nil {
		return err
	}
	var result pipelineResult
	for round := range s.rounds {
		progress("pipeline: round %d of %d", round+1, s.rounds)
		if err := f.round(ctx, s.lasting/2); err != nil {
			return err
		}
		commit, stream, inboxes, err := l.at(ctx, pipelineRate)
		if err != nil {
			return err
		}
		most, taken, err := l.most(ctx)
		if err != nil {
			return err
		}
		_, _, half, err := l.at(ctx, most/2)
		if err != nil {
			return err
		}
		result.commit, result.stream, result.inboxes = append(result.commit, commit), append(result.stream, stream), append(result.inboxes, inboxes)
		result.most, result.taken = append(result.most, most), append(result.taken, taken)
		result.half, result.halfRate = append(result.half, half), append(result.halfRate, most/2)
	}
	r.pipeline(s, f, result)
	c.commit = measure.Median(p50s(f.commit.latencies))
	c.perSecond = measure.Median(result.most)
	return c.readStorage(ctx, s, l.inboxes[0].pool)
}
