// Package revocations makes what is revoked here hold everywhere. A row is the
// truth; it goes into the NATS bucket that every service mirrors, and each
// replica of this service also reads the rows by itself, so that it knows of
// them while NATS is down.
package revocations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

const (
	// ReadEvery bounds how long a replica does not know of a row without NATS.
	ReadEvery = 2 * time.Second
	// projectEvery bounds how long a row is not in the bucket that another replica
	// wrote, or that this one could not put there at once.
	projectEvery = 250 * time.Millisecond
	// overlap is read again each time: a row may be committed after a later one.
	// It is longer than any transaction takes.
	overlap = time.Minute

	pruneEvery = time.Hour
	putTimeout = 3 * time.Second
	batch      = 200
)

// Lifetime of a revocation that ends nothing younger than itself.
const Lifetime = streams.RevocationTTL

// Store keeps the rows.
type Store interface {
	// Put stores a revocation; of two with one key the later T and end hold.
	Put(ctx context.Context, r authn.Revocation) error
	// ChangedSince lists the live rows that changed after a time, or all of them
	// for the zero time, and says what time it is in the database.
	ChangedSince(ctx context.Context, since time.Time) ([]authn.Revocation, time.Time, error)
	// Project hands at most limit rows to put that are not in the bucket yet,
	// while no other replica does, and remembers them as put if it succeeds.
	Project(ctx context.Context, bucket time.Time, limit int, put func(context.Context, []authn.Revocation) error) (int, error)
	// Forget makes Project hand out again what was put into another bucket.
	Forget(ctx context.Context, bucket time.Time) error
	// Prune removes what nothing needs any more.
	Prune(ctx context.Context) error
}

// Options of New. All are required.
type Options struct {
	Store     Store
	Memory    *authn.RevocationList
	JetStream jetstream.JetStream
	Logger    *slog.Logger
}

// List revokes. It is safe for concurrent use.
type List struct {
	Options
	read atomic.Bool
	wake chan struct{}
}

// New makes a list; Read and Project keep it going.
func New(o Options) *List { return &List{Options: o, wake: make(chan struct{}, 1)} }

// Revoke ends a token (RevokedToken) or what a client got until now
// (RevokedClient). When it returns nil, this replica refuses it already.
// expires is when nothing is left that it could end.
func (l *List) Revoke(ctx context.Context, kind authn.RevocationKind, id string, at, expires time.Time) error {
	r := authn.Revocation{Kind: kind, Key: authn.NewRevocationKey(kind, id), Before: at, Expires: expires}
	if err := l.Store.Put(ctx, r); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	l.Memory.Apply(r)
	select {
	case l.wake <- struct{}{}: // the other services' replicas need not wait for the next look
	default:
	}
	return nil
}

// Ready returns nil once the rows were read.
func (l *List) Ready(context.Context) error {
	if !l.read.Load() {
		return errors.New("the own revocations are not read yet")
	}
	return nil
}

// Read follows the rows until ctx ends, and returns nil.
func (l *List) Read(ctx context.Context) error {
	var since, pruned time.Time
	return l.repeat(ctx, ReadEvery, nil, "revocations cannot be read", func() error {
		rows, now, err := l.Store.ChangedSince(ctx, since)
		if err != nil {
			return err
		}
		l.Memory.Apply(rows...)
		since = now.Add(-overlap)
		l.read.Store(true)
		if now.Sub(pruned) < pruneEvery {
			return nil
		}
		pruned = now
		return l.Store.Prune(ctx)
	})
}

// Project puts rows into the bucket until ctx ends, and returns nil. A bucket
// that was made anew is filled again.
func (l *List) Project(ctx context.Context) error {
	var bucket time.Time
	var kv jetstream.KeyValue
	var looked time.Time
	return l.repeat(ctx, projectEvery, l.wake, "revocations cannot be projected", func() (err error) {
		defer func() {
			if err != nil {
				looked = time.Time{}
			}
		}()
		if time.Since(looked) >= ReadEvery {
			var made time.Time
			if kv, made, err = open(ctx, l.JetStream); err != nil {
				return err
			}
			if !made.Equal(bucket) {
				if err := l.Store.Forget(ctx, made); err != nil {
					return err
				}
				bucket = made
			}
			looked = time.Now()
		}
		for {
			n, err := l.put(ctx, kv, bucket)
			if err != nil || n < batch {
				return err
			}
		}
	})
}

// put a batch of rows into the bucket, and tell how many they were.
func (l *List) put(ctx context.Context, kv jetstream.KeyValue, bucket time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	return l.Store.Project(ctx, bucket, batch, func(ctx context.Context, rows []authn.Revocation) error {
		return revocation.Put(ctx, kv, rows...)
	})
}

// open finds the bucket and when it was made.
func open(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	kv, err := js.KeyValue(ctx, streams.Revocations)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("open the bucket: %w", err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("look at the bucket: %w", err)
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return nil, time.Time{}, errors.New("the bucket does not tell when it was made")
	}
	return kv, bucket.StreamInfo().Created.UTC().Truncate(time.Microsecond), nil
}

// repeat does something at each interval and, unless it has just failed, when it
// is woken. It logs the first failure of a row of them.
func (l *List) repeat(ctx context.Context, every time.Duration, wake <-chan struct{}, failure string, do func() error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		err := do()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			l.Logger.WarnContext(ctx, failure+", will retry", "cause", err)
		}
		failing = err != nil
		woken := wake
		if failing { // no tight loop on what is down
			woken = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-ticker.C:
		}
	}
}
