package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

const (
	// breakAfter failures one after the other nothing is sent up for breakFor.
	breakAfter = 5
	breakFor   = 10 * time.Second
	// leastLife is what a token must have left to be handed out.
	leastLife = 10 * time.Second
	// maxCached bounds the cache, in clients.
	maxCached = 10_000
)

// Keys are the clients' upstream keys.
type Keys interface {
	// Version tells whether the key has changed; ErrNoKey where there is none.
	Version(ctx context.Context, clientID string) (int64, error)
	// Open decrypts it.
	Open(ctx context.Context, clientID string) (key string, version int64, err error)
}

// ErrNoKey: the client has no upstream key.
var ErrNoKey = errors.New("the client has no upstream key")

// Exchanger trades keys upstream.
type Exchanger interface {
	Exchange(ctx context.Context, key string) (string, error)
}

// Verifier verifies the upstream's tokens.
type Verifier interface {
	VerifyFor(ctx context.Context, token string, audiences ...string) (*authn.Principal, error)
}

// Options of New. All are required.
type Options struct {
	Upstream Exchanger
	Keys     Keys
	Verifier Verifier
	Own      []string // audiences whose tokens this service mints in every mode
	Issuer   string   // of this service, which is no upstream of itself
	Logger   *slog.Logger
	Now      func() time.Time
}

// Broker hands out the upstream's tokens. One is asked for again when half of its
// life is over; until its end it is handed out all the same if that fails. So
// who asks at least once in that half does not notice an outage of up to the
// other half: 7.5 minutes of Auther's 15.
type Broker struct {
	Options
	flights singleflight.Group
	breaker *gobreaker.CircuitBreaker[string]

	mu     sync.Mutex
	cached map[string]token
}

// token is one that was verified.
type token struct {
	raw       string
	principal *authn.Principal
	version   int64     // of the key it was made with
	fetched   time.Time // when it was
}

func (t token) usable(now time.Time) bool {
	return t.principal != nil && t.principal.ExpiresAt().Sub(now) >= leastLife
}

// fresh tokens have more than half of their life before them.
func (t token) fresh(now time.Time) bool {
	return t.usable(now) && t.principal.ExpiresAt().Sub(now) > t.principal.ExpiresAt().Sub(t.fetched)/2
}

var _ exchange.Upstream = (*Broker)(nil)

// New makes a broker.
func New(o Options) *Broker {
	b := &Broker{Options: o, cached: map[string]token{}}
	b.breaker = gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Name: "upstream", Timeout: breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
		// A key that is refused says nothing about the upstream.
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, ErrKeyRefused) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			o.Logger.Warn("upstream circuit breaker", "from", from.String(), "to", to.String())
		},
	})
	return b
}

// Mints implements exchange.Upstream: everything but what is this service's own.
func (b *Broker) Mints(target []string) bool {
	return !slices.ContainsFunc(target, func(name string) bool { return slices.Contains(b.Own, name) })
}

// Mint implements exchange.Upstream.
func (b *Broker) Mint(ctx context.Context, clientID string, target, scopes []string) (*exchange.Issued, error) {
	t, err := b.token(ctx, clientID)
	if err != nil {
		return nil, refusal(err)
	}
	for _, name := range target {
		if !t.principal.HasAudience(name) {
			return nil, oauth.InvalidTarget("upstream_audience", "The requested audience or resource is not available to this client.")
		}
	}
	for _, s := range scopes {
		if !t.principal.HasScope(s) {
			return nil, oauth.InvalidScope("upstream_scope")
		}
	}
	// The scope is what the upstream gave, narrower or wider than what was asked for.
	return &exchange.Issued{
		AccessToken: t.raw, TokenType: "Bearer", Scope: strings.Join(t.principal.Scopes(), " "),
		ExpiresIn: int64(t.principal.ExpiresAt().Sub(b.Now()) / time.Second), ExpiresAt: t.principal.ExpiresAt().Unix(),
		TokenID: t.principal.TokenID(),
	}, nil
}

// token returns a cached token or fetches one.
func (b *Broker) token(ctx context.Context, clientID string) (token, error) {
	version, err := b.Keys.Version(ctx, clientID)
	if err != nil {
		return token{}, err
	}
	held := b.held(clientID, version)
	if held.fresh(b.Now()) {
		return held, nil
	}
	fetched, err := b.fetch(ctx, clientID)
	if err == nil {
		return fetched, nil
	}
	// A key that is refused upstream is no outage: it was taken away.
	if held.usable(b.Now()) && !errors.Is(err, ErrKeyRefused) {
		b.Logger.WarnContext(ctx, "the upstream fails; a cached token is handed out", "client_id", clientID,
			"expires_at", held.principal.ExpiresAt().UTC(), "cause", err)
		return held, nil
	}
	return token{}, err
}

func (b *Broker) held(clientID string, version int64) token {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.cached[clientID]
	if t.version != version {
		return token{}
	}
	return t
}

// fetch lets one flight go up for many callers. It outlives whoever began it;
// each caller waits for no longer than it wants to.
func (b *Broker) fetch(ctx context.Context, clientID string) (token, error) {
	flight := b.flights.DoChan(clientID, func() (any, error) {
		return b.exchange(context.WithoutCancel(ctx), clientID)
	})
	select {
	case <-ctx.Done():
		return token{}, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	case landed := <-flight:
		t, _ := landed.Val.(token)
		return t, landed.Err
	}
}

func (b *Broker) exchange(ctx context.Context, clientID string) (token, error) {
	key, version, err := b.Keys.Open(ctx, clientID)
	if err != nil {
		return token{}, err
	}
	at := b.Now()
	raw, err := b.breaker.Execute(func() (string, error) { return b.Upstream.Exchange(ctx, key) })
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return token{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, ErrCannotExchange):
		b.Logger.ErrorContext(ctx, "broker mode cannot work with this upstream", "client_id", clientID, "cause", err)
		return token{}, err
	case err != nil:
		return token{}, err
	}
	t, err := b.verify(ctx, raw)
	if err != nil {
		return token{}, err
	}
	t.version, t.fetched = version, at
	b.keep(clientID, t)
	return t, nil
}

// verify holds the token to the issuer's keys and claims. Its audience is held
// to each request.
func (b *Broker) verify(ctx context.Context, raw string) (token, error) {
	audiences := audiencesOf(raw)
	p, err := b.Verifier.VerifyFor(ctx, raw, audiences...)
	switch {
	case errors.Is(err, authn.ErrKeysUnavailable):
		return token{}, fmt.Errorf("%w: its keys: %w", ErrUnreachable, err)
	case err != nil:
		return token{}, fmt.Errorf("%w: its token is not acceptable: %w", ErrBroken, err)
	}
	if p.Kind() != authn.KindService || p.Issuer() == b.Issuer {
		return token{}, fmt.Errorf("%w: its token is no API key's of its own", ErrBroken)
	}
	t := token{raw: raw, principal: p}
	if !t.usable(b.Now()) {
		return token{}, fmt.Errorf("%w: its token is at its end", ErrBroken)
	}
	return t, nil
}

func (b *Broker) keep(clientID string, t token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.cached[clientID]; !known && len(b.cached) >= maxCached {
		for other := range b.cached { // any will do: it is fetched again
			delete(b.cached, other)
			break
		}
	}
	b.cached[clientID] = t
}

// Check exchanges a client's key now and says what is wrong; nil if it works.
func (b *Broker) Check(ctx context.Context, clientID string) error {
	_, err := b.fetch(ctx, clientID)
	return err
}

// refusal is the public face of a failure: nothing that the upstream said.
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrNoKey):
		return oauth.UnauthorizedClient("no_upstream_key", "This client has no key at the upstream issuer.").Because(err)
	case errors.Is(err, ErrKeyRefused):
		return oauth.UnauthorizedClient("upstream_refused_key", "The upstream issuer does not accept this client's key.").Because(err)
	case errors.Is(err, ErrCannotExchange):
		return oauth.BadGateway("upstream_cannot_exchange", err)
	case errors.Is(err, ErrBroken):
		return oauth.BadGateway("upstream_broken", err)
	case errors.Is(err, ErrUnreachable):
		return oauth.Unavailable("upstream_unreachable", err)
	}
	return oauth.Unavailable("upstream_keys_unavailable", err)
}
