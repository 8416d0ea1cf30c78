package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn"
)

const (
	openTimeout  = 5 * time.Second
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

var (
	errDead        = errors.New("nothing came through the watch for too long")
	errEnded       = errors.New("the watch ended")
	errReconnected = errors.New("the connection was replaced")
)

var instancePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// FeedConfig describes a feed. Instance is required.
type FeedConfig struct {
	// Bucket must exist. Default: DefaultBucket.
	Bucket string
	// Instance names this replica: letters, digits, dash and underscore, different for each replica.
	Instance string
	// Upstream, if set, is the name under which the writer of revocations
	// beats. The list is then only as fresh as the older of the two heartbeats:
	// a bucket that nobody feeds is stale too.
	Upstream string
	// Interval is how often to beat. Default 1 s.
	Interval time.Duration
	// DeadAfter is how long a watch may be silent before it is replaced. Default 3 s.
	DeadAfter time.Duration
	// Logger takes failures. Default: slog.Default().
	Logger *slog.Logger
}

// Feed mirrors the bucket into a list.
type Feed struct {
	js     jetstream.JetStream
	config FeedConfig
}

// NewFeed returns a feed. Its configuration is checked by Run.
func NewFeed(js jetstream.JetStream, config FeedConfig) *Feed {
	if config.Bucket == "" {
		config.Bucket = DefaultBucket
	}
	if config.Interval <= 0 {
		config.Interval = time.Second
	}
	if config.DeadAfter <= 0 {
		config.DeadAfter = 3 * time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Feed{js: js, config: config}
}

// Run mirrors until ctx ends, when it returns nil. It marks the list as loaded
// after the first complete load, and keeps what is in the list through every
// outage. It returns an error at once for an Instance that cannot be a key.
func (f *Feed) Run(ctx context.Context, list *authn.RevocationList) error {
	if !instancePattern.MatchString(f.config.Instance) {
		return errors.New("run revocation feed: instance must be 1 to 128 letters, digits, dashes and underscores")
	}
	var wait time.Duration
	for ctx.Err() == nil {
		loaded, err := f.mirror(ctx, list)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is meant to end
		}
		if loaded {
			wait = 0
		}
		if errors.Is(err, errReconnected) {
			continue
		}
		f.config.Logger.WarnContext(ctx, "revocation watch is being replaced",
			"bucket", f.config.Bucket, "staleness", list.Staleness().String(), "cause", err.Error())
		wait = min(max(2*wait, firstBackoff), lastBackoff)
		timer := time.NewTimer(wait/2 + rand.N(wait/2)) //nolint:gosec // jitter needs no secrecy
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// mirror opens a watch and applies what it brings until it must be replaced.
//
// Each watch loads the whole bucket again. Going on from the last revision seen
// would be cheaper and wrong: a server that lost the unsynced end of its log
// gives the same revisions to other entries. The library's own resumption after
// a reconnect has the same flaw, which is why a reconnect replaces the watch.
func (f *Feed) mirror(ctx context.Context, list *authn.RevocationList) (loaded bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reconnects := f.js.Conn().Stats().Reconnects
	opening, opened := context.WithTimeout(ctx, openTimeout)
	defer opened()
	kv, err := f.js.KeyValue(opening, f.config.Bucket)
	if err != nil {
		return false, fmt.Errorf("open bucket: %w", err)
	}
	status, err := kv.Status(opening)
	if err != nil {
		return false, fmt.Errorf("read bucket status: %w", err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return false, fmt.Errorf("watch bucket: %w", err)
	}
	defer discard(watch)

	pulse := newPulse(f.config)
	go pulse.beat(ctx, kv)
	check := time.NewTicker(f.config.DeadAfter / 10)
	defer check.Stop()
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return loaded, nil
		case <-check.C:
			if f.js.Conn().Stats().Reconnects != reconnects {
				return loaded, errReconnected
			}
			if time.Since(heard) > f.config.DeadAfter {
				return loaded, errDead
			}
		case entry, open := <-watch.Updates():
			if !open {
				return loaded, errEnded
			}
			heard = time.Now()
			if entry == nil {
				loaded = true
				list.MarkLoaded()
				continue
			}
			f.apply(ctx, list, pulse, entry, status.TTL())
		}
	}
}

func (f *Feed) apply(ctx context.Context, list *authn.RevocationList, pulse *pulse, entry jetstream.KeyValueEntry, ttl time.Duration) {
	if entry.Operation() != jetstream.KeyValuePut {
		return // an entry that ran out; the list forgets it by itself, and only Lift lifts
	}
	if heartbeat, at := pulse.received(entry, list.Staleness()); heartbeat {
		if !at.IsZero() {
			list.Heartbeat(at)
		}
		return
	}
	r, err := decode(entry.Key(), entry.Value(), entry.Created(), ttl)
	if err != nil {
		f.config.Logger.ErrorContext(ctx, "entry in the revocation bucket was ignored",
			"bucket", f.config.Bucket, "revision", entry.Revision(), "cause", err.Error())
		return
	}
	list.Apply(r)
}

// discard stops a watch in the background: that asks the server, which may be
// away, and the watch's callback blocks until its channel is read.
func discard(watch jetstream.KeyWatcher) {
	go func() {
		for range watch.Updates() {
		}
	}()
	go func() { _ = watch.Stop() }()
}
