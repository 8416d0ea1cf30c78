package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// flushEvery bounds how long a record waits. At 100 ms Postgres had bursts of
	// work that requests waited for: p99 at half load was 11 ms, and is 5 at 20 ms
	// for 2 % of the throughput (make bench-exchange).
	flushEvery = 20 * time.Millisecond
	maxBatch   = 1000
	// bufferSize is how many records may wait while the database is slow.
	bufferSize   = 10_000
	flushTimeout = 5 * time.Second
	retryEvery   = time.Second
)

// Errors of Record.
var (
	// ErrDropped: too many records wait for a database that is down.
	ErrDropped = errors.New("audit record dropped")
	// ErrNotWritten: the record must be written before the answer, and is not.
	ErrNotWritten = errors.New("audit record is not written")
)

// Options of New.
type Options struct {
	Store  Store
	Logger *slog.Logger
	// Strict makes Record wait until the record of a granted token is written.
	Strict bool
}

// Log takes records. It is safe for concurrent use.
type Log struct {
	store   Store
	log     *slog.Logger
	strict  bool
	waiting chan waiting
	dropped atomic.Int64
	counts  *counter
}

// waiting is a record on its way; done, where somebody waits, hears how it went.
type waiting struct {
	Attempt
	done chan error
}

// New makes a log; Run writes it.
func New(o Options) *Log {
	return &Log{store: o.Store, log: o.Logger, strict: o.Strict, waiting: make(chan waiting, bufferSize), counts: newCounter()}
}

// Record takes a record. It waits in strict mode alone, and there only for a
// granted token's: a refusal is no loss to its client. The errors are ErrDropped
// and, in strict mode, ErrNotWritten.
func (l *Log) Record(ctx context.Context, a Attempt) error {
	if a.Counted() {
		l.counts.add(a)
		return nil
	}
	w := waiting{Attempt: a}
	done := make(chan error, 1)
	wait := l.strict && a.Granted
	if wait {
		w.done = done
	}
	select {
	case l.waiting <- w:
	default:
		l.dropped.Add(1)
		if wait {
			return ErrNotWritten
		}
		return ErrDropped
	}
	if !wait {
		return nil
	}
	select {
	case err := <-done:
		if err != nil {
			return errors.Join(ErrNotWritten, err)
		}
		return nil
	case <-ctx.Done():
		return errors.Join(ErrNotWritten, ctx.Err())
	}
}

// Run writes batches until ctx ends, then what is left, and returns nil.
func (l *Log) Run(ctx context.Context) error {
	counting := make(chan struct{})
	go func() {
		defer close(counting)
		l.runCounts(ctx)
	}()
	batch := make([]waiting, 0, maxBatch)
	for {
		select {
		case <-ctx.Done():
			l.drain(context.WithoutCancel(ctx), batch)
			<-counting
			return nil
		case w := <-l.waiting:
			batch = l.fill(append(batch, w))
			batch = l.flush(ctx, batch)
		}
	}
}

// fill collects until the batch is full or its first record has waited enough.
// Nobody who waits for a record waits for others to come.
func (l *Log) fill(batch []waiting) []waiting {
	if l.strict {
		return l.take(batch)
	}
	deadline := time.NewTimer(flushEvery)
	defer deadline.Stop()
	for len(batch) < maxBatch {
		select {
		case w := <-l.waiting:
			batch = append(batch, w)
		case <-deadline.C:
			return batch
		}
	}
	return batch
}

// take collects what is there already.
func (l *Log) take(batch []waiting) []waiting {
	for len(batch) < maxBatch {
		select {
		case w := <-l.waiting:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

func (l *Log) write(ctx context.Context, batch []waiting) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	attempts := make([]Attempt, len(batch))
	for i := range batch {
		attempts[i] = batch[i].Attempt
	}
	err := l.store.WriteAttempts(ctx, attempts)
	for i := range batch {
		batch[i].tell(err)
	}
	return err
}

// tell answers who waits. A token whose record could not be written is not
// handed out, so the record that is written later says refused.
func (w *waiting) tell(err error) {
	if w.done == nil {
		return
	}
	w.done <- err // never blocks: there is room for the one answer
	w.done = nil
	if err != nil {
		w.Granted, w.Reason, w.TokenHash, w.TokenID = false, "audit_unavailable", nil, ""
	}
}

// flush returns what is still to be written: nothing, or, when ctx ends, the batch.
func (l *Log) flush(ctx context.Context, batch []waiting) []waiting {
	if err := l.write(ctx, batch); err != nil {
		l.log.ErrorContext(ctx, "audit records wait", "count", len(batch), "cause", err)
		return l.hold(ctx, batch)
	}
	l.report(ctx)
	return batch[:0]
}

func (l *Log) report(ctx context.Context) {
	if n := l.dropped.Swap(0); n > 0 {
		l.log.ErrorContext(ctx, "audit records were dropped; the request log holds them", "count", n)
	}
}

// hold keeps trying while the database is down; what comes meanwhile waits in
// the buffer. In strict mode those who wait are told with every attempt.
func (l *Log) hold(ctx context.Context, batch []waiting) []waiting {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return batch
		case <-retry.C:
			if l.strict {
				batch = l.take(batch)
			}
			if l.write(ctx, batch) == nil {
				l.report(ctx)
				return batch[:0]
			}
		}
	}
}

func (l *Log) drain(ctx context.Context, batch []waiting) {
	for {
		select {
		case w := <-l.waiting:
			batch = append(batch, w)
		default:
			if len(batch) == 0 {
				return
			}
			if err := l.write(ctx, batch); err != nil {
				l.log.ErrorContext(ctx, "audit records were lost; the request log holds them", "count", len(batch), "cause", err)
			}
			return
		}
	}
}
