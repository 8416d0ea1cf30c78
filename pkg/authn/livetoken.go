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
)

// liveToken holds one token, replaces it early in the background, and keeps
// handing it out while it cannot be replaced. One request is under way at most.
type liveToken struct {
	fetch func(context.Context) (*oauth2.Token, error)
	now   func() time.Time
	// background runs a replacement; its owner waits for it on Close.
	background func(func(context.Context)) bool

	mu      sync.Mutex
	token   *oauth2.Token
	renewAt time.Time
	flight  *tokenFlight
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
	alive := l.token != nil && now.Before(l.token.Expiry.Add(-expiryMargin))
	if alive && now.Before(l.renewAt) {
		defer l.mu.Unlock()
		return l.token, nil
	}
	f := l.flight
	if f == nil {
		f = &tokenFlight{done: make(chan struct{})}
		if !l.background(func(ctx context.Context) { l.fly(ctx, f) }) {
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
	if f.err == nil {
		l.token, l.renewAt = f.token, now.Add(renewAfter(f.token.Expiry.Sub(now)))
	} else {
		l.renewAt = now.Add(retryEvery)
	}
	l.flight = nil
	close(f.done)
}

// renewAfter is at three quarters of the life, spread by a tenth of it so that
// replicas do not come together.
func renewAfter(life time.Duration) time.Duration {
	return time.Duration((0.70 + 0.10*rand.Float64()) * float64(life))
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
