package authn

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// expiryMargin is how long before its end a token is no longer handed out:
	// it must still be alive when it arrives.
	expiryMargin = 10 * time.Second
	// retryEvery is the least time between attempts to replace a live token.
	retryEvery = time.Second
	// maxMisses is how many requests in a row may fail, without a live token,
	// before callers are answered from the last failure for retryEvery.
	maxMisses = 3
)

// liveToken holds one token, replaces it early in the background, and keeps
// handing it out while it cannot be replaced. One request is under way at most.
type liveToken struct {
	fetch func(context.Context) (*oauth2.Token, error)
	now   func() time.Time
	// background runs a replacement; its owner waits for it on Close.
	background func(func(context.Context)) bool
	// revocations, if given, is asked whether the token itself was revoked.
	revocations *RevocationList
	// final reports whether an error means that the token at hand is dead too.
	final func(error) bool

	mu        sync.Mutex
	token     *oauth2.Token
	revocable *Principal // what revokes token; nil if it cannot be told
	fetchedAt time.Time
	renewAt   time.Time
	flight    *tokenFlight
	misses    int
	lastMiss  error
	heldUntil time.Time
}

type tokenFlight struct {
	done  chan struct{}
	token *oauth2.Token
	err   error
}

// get returns a live token, waiting only where there is none.
func (l *liveToken) get(ctx context.Context) (*oauth2.Token, error) {
	l.mu.Lock()
	now := l.now()
	alive := l.aliveLocked(now)
	if alive && now.Before(l.renewAt) {
		defer l.mu.Unlock()
		return l.token, nil
	}
	f := l.flight
	if f == nil && !alive && l.misses >= maxMisses && now.Before(l.heldUntil) {
		defer l.mu.Unlock()
		return nil, l.lastMiss
	}
	if f == nil {
		f = &tokenFlight{done: make(chan struct{})}
		if !l.background(func(end context.Context) { l.fly(flightContext{Context: end, caller: ctx}, f) }) {
			l.mu.Unlock()
			return nil, errClosed
		}
		l.flight = f
	}
	token := l.token
	l.mu.Unlock()
	if alive {
		return token, nil
	}
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *liveToken) fly(ctx context.Context, f *tokenFlight) {
	f.token, f.err = l.fetch(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	switch {
	case f.err == nil:
		l.token, l.fetchedAt, l.renewAt = f.token, now, now.Add(renewAfter(f.token.Expiry.Sub(now)))
		l.misses, l.revocable = 0, nil
		if l.revocations != nil {
			l.revocable = revocableBy(f.token.AccessToken)
		}
	case l.final != nil && l.final(f.err):
		l.token = nil
		fallthrough
	default:
		l.renewAt = now.Add(retryEvery)
		if !l.aliveLocked(now) {
			l.misses++
			l.lastMiss, l.heldUntil = f.err, now.Add(retryEvery)
		}
	}
	l.flight = nil
	close(f.done)
}

// aliveLocked reports whether the token can still be handed out. One that was
// only just fetched is not held against revocations: a client that was revoked
// in this very second would fetch without end.
func (l *liveToken) aliveLocked(now time.Time) bool {
	if l.token == nil || !now.Before(l.token.Expiry.Add(-expiryMargin)) {
		return false
	}
	if l.revocable == nil || now.Sub(l.fetchedAt) < retryEvery {
		return true
	}
	return l.revocations.Check(l.revocable) == nil
}

// renewAfter is at three quarters of the life, spread by a tenth of it so that
// replicas do not come together.
func renewAfter(life time.Duration) time.Duration {
	return time.Duration((0.70 + 0.10*rand.Float64()) * float64(life)) //nolint:gosec // a spread is no secret
}

// forget drops the token if it is still this one, because it was refused.
func (l *liveToken) forget(accessToken string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token != nil && l.token.AccessToken == accessToken {
		l.token = nil
	}
}

// expired reports whether there is nothing worth keeping.
func (l *liveToken) expired(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flight == nil && (l.token == nil || !now.Before(l.token.Expiry.Add(-expiryMargin)))
}
