// Package audit keeps one record of every attempt to get a token, granted or
// refused. Records are written in batches off the request path; the request's
// log line says the same, except for the user.
package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// flushEvery bounds how long a record waits.
	flushEvery = 100 * time.Millisecond
	maxBatch   = 1000
	// bufferSize is how many records may wait while the database is slow.
	bufferSize   = 10_000
	flushTimeout = 5 * time.Second
)

// Attempt is one record. It holds hashes of tokens, never a token or a key.
type Attempt struct {
	At               time.Time
	GrantType        string
	Granted          bool
	Reason           string // why it was refused; empty if granted
	ClientID         string
	KeyID            string
	UserID           string // empty for services, and for users who were erased
	Audience         []string
	Scope            string
	TokenID          string
	TokenHash        []byte
	SubjectTokenHash []byte
	Address          string
}

// Hash is how a token is recorded; nil for none.
func Hash(token string) []byte {
	if token == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Store writes a batch in one transaction.
type Store interface {
	WriteAttempts(ctx context.Context, batch []Attempt) error
}

// Log takes records. It is safe for concurrent use.
type Log struct {
	store   Store
	log     *slog.Logger
	waiting chan Attempt
	dropped atomic.Int64
}

// New makes a log; Run writes it.
func New(store Store, log *slog.Logger) *Log {
	return &Log{store: store, log: log, waiting: make(chan Attempt, bufferSize)}
}

// ErrDropped: too many records wait for a database that is down.
var ErrDropped = errors.New("audit record dropped")

// Record never waits.
func (l *Log) Record(_ context.Context, a Attempt) error {
	select {
	case l.waiting <- a:
		return nil
	default:
		l.dropped.Add(1)
		return ErrDropped
	}
}

// Run writes batches until ctx ends, then what is left, and returns nil.
func (l *Log) Run(ctx context.Context) error {
	batch := make([]Attempt, 0, maxBatch)
	for {
		select {
		case <-ctx.Done():
			l.drain(context.WithoutCancel(ctx), batch)
			return nil
		case a := <-l.waiting:
			batch = l.fill(append(batch, a))
			batch = l.flush(ctx, batch)
		}
	}
}

// fill collects until the batch is full or its first record has waited enough.
func (l *Log) fill(batch []Attempt) []Attempt {
	deadline := time.NewTimer(flushEvery)
	defer deadline.Stop()
	for len(batch) < maxBatch {
		select {
		case a := <-l.waiting:
			batch = append(batch, a)
		case <-deadline.C:
			return batch
		}
	}
	return batch
}

// flush returns what is still to be written: nothing, or, when ctx ends, the batch.
func (l *Log) flush(ctx context.Context, batch []Attempt) []Attempt {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := l.store.WriteAttempts(writing, batch); err != nil {
		l.log.ErrorContext(ctx, "audit records wait", "count", len(batch), "cause", err)
		return l.hold(ctx, batch)
	}
	if n := l.dropped.Swap(0); n > 0 {
		l.log.ErrorContext(ctx, "audit records were dropped; the request log holds them", "count", n)
	}
	return batch[:0]
}

// hold keeps trying while the database is down; what comes meanwhile waits in
// the buffer.
func (l *Log) hold(ctx context.Context, batch []Attempt) []Attempt {
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return batch
		case <-retry.C:
			writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			err := l.store.WriteAttempts(writing, batch)
			cancel()
			if err == nil {
				return batch[:0]
			}
		}
	}
}

func (l *Log) drain(ctx context.Context, batch []Attempt) {
	for {
		select {
		case a := <-l.waiting:
			batch = append(batch, a)
		default:
			if len(batch) == 0 {
				return
			}
			writing, cancel := context.WithTimeout(ctx, flushTimeout)
			defer cancel()
			if err := l.store.WriteAttempts(writing, batch); err != nil {
				l.log.ErrorContext(ctx, "audit records were lost; the request log holds them", "count", len(batch), "cause", err)
			}
			return
		}
	}
}
