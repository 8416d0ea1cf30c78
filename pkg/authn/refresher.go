package authn

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	defaultRefresh      = 5 * time.Minute
	defaultRemovedTrust = 5 * time.Minute
	defaultMaxAge       = 72 * time.Hour

	// unknownKeyInterval is the least time between two fetches that unknown
	// kids cause for one issuer. It is also the longest that junk kids can
	// delay the discovery of a real new key.
	unknownKeyInterval = time.Second
	// unknownKeyWait bounds how long a request with an unknown kid waits.
	unknownKeyWait = 2 * time.Second
	// maxWaiting bounds how many requests wait at once for one issuer's keys.
	maxWaiting = 4096

	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// refresher keeps one issuer's keys fresh. One goroutine does all fetching, so
// there is never more than one request under way; requests with an unknown kid
// wait for a flight of it, those with a known kid never do.
type refresher struct {
	issuer  string
	storage *keyStorage
	fetcher *keyFetcher
	store   KeyStore // may be nil
	log     *slog.Logger
	now     func() time.Time

	refresh      time.Duration
	removedTrust time.Duration
	maxAge       time.Duration

	mu      sync.Mutex
	current *flight // being fetched, or nil
	next    *flight // asked for, or nil
	waiting int
	wake    chan struct{}
	stop    context.CancelFunc
	done    chan struct{}
}

// flight is one load or fetch that requests may wait for.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
	// stored: this was only the look into the key store.
	stored bool
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

func (r *refresher) start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.wake = make(chan struct{}, 1)
	r.done = make(chan struct{})
	r.storage.await = r.await
	r.current = newFlight() // so that the first requests wait for the first flight
	go r.run(ctx)
}

func (r *refresher) close() {
	r.stop()
	<-r.done
}

func (r *refresher) run(ctx context.Context) {
	defer close(r.done)
	r.loadStored(ctx)
	failures := 0
	for ctx.Err() == nil {
		started := time.Now()
		maxAge, err := r.fetch(ctx)
		if err != nil {
			failures++
		} else {
			failures = 0
		}
		if !r.pause(ctx, started, r.delay(failures, maxAge)) {
			break
		}
	}
	r.abandon(ctx.Err())
}

// delay until the next fetch that nobody asks for; maxAge is what the issuer's
// Cache-Control granted.
func (r *refresher) delay(failures int, maxAge time.Duration) time.Duration {
	if failures == 0 {
		return jitter(refreshAfter(r.refresh, maxAge))
	}
	return jitter(min(maxBackoff, minBackoff<<min(failures-1, 10), r.refresh))
}

// jitter spreads d by a tenth, so that replicas do not fetch in step.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*0.2-0.1)*float64(d)) //nolint:gosec // a spread is no secret
}

// pause waits for the delay, or, when a request wants a fetch, only until the
// least interval since the last one is over.
func (r *refresher) pause(ctx context.Context, started time.Time, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-r.wake:
	}
	least := time.NewTimer(unknownKeyInterval - time.Since(started))
	defer least.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-least.C:
		return true
	}
}

// loadStored takes over the last good set, if its age allows.
func (r *refresher) loadStored(ctx context.Context) {
	f := r.takeOff(true)
	defer r.land(f, nil)
	if r.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	stored, err := r.store.Load(ctx, r.issuer)
	if errors.Is(err, ErrNoStoredKeys) {
		return
	}
	if err != nil {
		r.log.WarnContext(ctx, "stored keys could not be loaded", "issuer", r.issuer, "error", err)
		return
	}
	keys, _, err := parseJWKS(stored.JWKS)
	if err != nil || len(keys) == 0 {
		r.log.WarnContext(ctx, "stored keys are unusable", "issuer", r.issuer, "error", err)
		return
	}
	now := r.now()
	fetchedAt := stored.FetchedAt
	if fetchedAt.After(now) {
		fetchedAt = now // a clock that was set back must not lengthen the trust
	}
	if !now.Before(fetchedAt.Add(r.maxAge)) {
		r.log.WarnContext(ctx, "stored keys are too old", "issuer", r.issuer, "fetched_at", stored.FetchedAt)
		return
	}
	r.storage.set.Store(r.storage.set.Load().merge(keys, fetchedAt, now, r.removedTrust, r.maxAge))
}

// fetch gets the key set once, and returns what Cache-Control granted.
func (r *refresher) fetch(ctx context.Context) (time.Duration, error) {
	f := r.takeOff(false)
	got, err := r.fetcher.fetch(ctx)
	if err != nil {
		r.land(f, err)
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "key set could not be fetched", "issuer", r.issuer, "error", err)
		}
		return 0, err
	}
	now := r.now()
	before := r.storage.set.Load()
	after := before.merge(got.keys, now, now, r.removedTrust, r.maxAge)
	r.storage.set.Store(after)
	r.land(f, nil)
	for _, err := range got.skipped {
		r.log.WarnContext(ctx, "unusable key skipped", "issuer", r.issuer, "error", err)
	}
	if before.generation != after.generation {
		r.log.InfoContext(ctx, "key set changed", "issuer", r.issuer, "keys", len(got.keys))
	}
	if r.store != nil {
		saveCtx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		if err := r.store.Save(saveCtx, r.issuer, StoredKeys{JWKS: got.raw, FetchedAt: now}); err != nil {
			r.log.WarnContext(ctx, "keys could not be stored", "issuer", r.issuer, "error", err)
		}
	}
	return got.maxAge, nil
}

// takeOff makes the asked-for flight, if any, the current one.
func (r *refresher) takeOff(stored bool) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.current != nil: // the first one, made by start
	case r.next != nil:
		r.current, r.next = r.next, nil
	default:
		r.current = newFlight()
	}
	r.current.stored = stored
	select {
	case <-r.wake: // whoever asked is served by this flight
	default:
	}
	return r.current
}

func (r *refresher) land(f *flight, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.err = err
	r.current = nil
	close(f.done)
}

// abandon releases those who wait for a flight that will never start.
func (r *refresher) abandon(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = newFlight()
	}
	r.next.err = errors.Join(errors.New("verifier is closed"), err)
	close(r.next.done)
}

// join returns the flight to wait for: the current one, or the next, which it
// asks for. It returns nil if the key came meanwhile; a set is stored before its
// flight lands, so whoever misses the flight finds the key.
func (r *refresher) join(kid string) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, _, ok := r.storage.set.Load().lookup(kid, r.now()); ok {
		return nil
	}
	if r.current != nil {
		return r.current
	}
	if r.next == nil {
		r.next = newFlight()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return r.next
}

var errKeyWait = errors.New("key set was not fetched in time")

// await implements keyStorage.await: wait, for a bounded time, for one fetch.
func (r *refresher) await(ctx context.Context, kid string) error {
	if !r.enter() {
		return errors.New("too many requests wait for the key set")
	}
	defer r.leave()
	timer := time.NewTimer(unknownKeyWait)
	defer timer.Stop()
	for {
		f := r.join(kid)
		if f == nil {
			return nil
		}
		select {
		case <-f.done:
			if f.stored {
				continue // the fetch follows at once
			}
			return f.err
		case <-timer.C:
			return errKeyWait
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *refresher) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting >= maxWaiting {
		return false
	}
	r.waiting++
	return true
}

func (r *refresher) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
}
