package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// defaultDelegatedTokens bounds the delegated tokens kept.
const defaultDelegatedTokens = 10_000

// DelegatorConfig of NewDelegator.
type DelegatorConfig struct {
	// TokenURL is the token endpoint: https://token-exchange/oauth/token.
	TokenURL string
	// ClientID of this service.
	ClientID string
	// APIKeyFile holds the API key, which is the client secret. It is read
	// again for every request.
	APIKeyFile string
	// AssertionFile holds a projected workload token instead (RFC 7523), read
	// again for every request as well.
	AssertionFile string
	// HTTPClient sends the requests; nil is a plain one. Redirects are not followed.
	HTTPClient *http.Client
	// Logger gets failures to fetch; nil is slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Revocations, if given, keeps delegated tokens from outliving the token
	// they were made from, and drops those that were revoked themselves.
	Revocations *RevocationList
	// MaxTokens bounds how many delegated tokens are kept; 0 is 10000.
	MaxTokens int
}

// Delegator gets tokens to call another service on behalf of a caller
// (RFC 8693). It is safe for concurrent use.
type Delegator struct {
	endpoint    tokenEndpoint
	revocations *RevocationList
	log         *slog.Logger
	now         func() time.Time
	max         int
	work        *background
	// revoked is set when something was revoked since the last sweep.
	revoked atomic.Bool

	mu     sync.Mutex
	tokens map[delegationKey]*delegation
}

// delegationKey is the SHA-256 of subject token, audience and scope: a subject
// token need not be kept as a key in memory.
type delegationKey [sha256.Size]byte

type delegation struct {
	subject *Principal
	live    *liveToken
}

// NewDelegator checks cfg and sends nothing yet.
func NewDelegator(cfg DelegatorConfig) (*Delegator, error) {
	d := &Delegator{
		endpoint: tokenEndpoint{
			url: cfg.TokenURL, clientID: cfg.ClientID, apiKeyFile: cfg.APIKeyFile,
			assertionFile: cfg.AssertionFile, client: withoutRedirects(cfg.HTTPClient), now: orNow(cfg.Now),
		},
		revocations: cfg.Revocations, log: orLogger(cfg.Logger), now: orNow(cfg.Now), max: cfg.MaxTokens,
		work: newBackground(), tokens: make(map[delegationKey]*delegation),
	}
	if d.max <= 0 {
		d.max = defaultDelegatedTokens
	}
	if err := d.endpoint.check(); err != nil {
		return nil, fmt.Errorf("delegator: %w", err)
	}
	if d.revocations != nil {
		d.revocations.OnRevoke(func(Revocation) { d.revoked.Store(true) })
	}
	return d, nil
}

// Close ends background work and waits for it.
func (d *Delegator) Close() { d.work.close() }

// OnBehalfOf returns a live token with which to call audience for p. It waits
// only if there is none at hand. The error wraps ErrRevoked if p's token was
// revoked, ErrExpired if it has expired, ErrTokenRefused or ErrTokenUnavailable.
func (d *Delegator) OnBehalfOf(ctx context.Context, p *Principal, audience string, scopes ...string) (*oauth2.Token, error) {
	t, _, err := d.onBehalfOf(ctx, p, audience, scopes)
	return t, err
}

// TokenSource is OnBehalfOf as an oauth2.TokenSource, for clients that take
// one: it gets tokens to call audience for p, as long as p's own token lives.
func (d *Delegator) TokenSource(ctx context.Context, p *Principal, audience string, scopes ...string) oauth2.TokenSource {
	return tokenSourceFunc(func() (*oauth2.Token, error) { return d.OnBehalfOf(ctx, p, audience, scopes...) })
}

type tokenSourceFunc func() (*oauth2.Token, error)

// Token implements oauth2.TokenSource.
func (f tokenSourceFunc) Token() (*oauth2.Token, error) { return f() }

// Transport returns a RoundTripper that calls audience on behalf of the caller
// in each request's context (FromContext), as OnBehalfOf does; a nil base is
// http.DefaultTransport. Without a caller the error is ErrMissingToken. A token
// that is answered with 401 is dropped, and the request repeated once with a
// new one if its body allows. A redirect to another host gets no token.
func (d *Delegator) Transport(base http.RoundTripper, audience string, scopes ...string) http.RoundTripper {
	return newTransport(base, func(req *http.Request) (*oauth2.Token, func(), error) {
		p, _ := FromContext(req.Context())
		t, e, err := d.onBehalfOf(req.Context(), p, audience, scopes)
		if err != nil {
			return nil, nil, err
		}
		return t, func() { e.live.forget(t.AccessToken) }, nil
	})
}

func (d *Delegator) onBehalfOf(ctx context.Context, p *Principal, audience string, scopes []string) (*oauth2.Token, *delegation, error) {
	if p == nil {
		return nil, nil, ErrMissingToken
	}
	if audience == "" {
		return nil, nil, fmt.Errorf("delegate: %w: no audience", ErrTokenRefused)
	}
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scope := strings.Join(slices.Compact(scopes), " ")
	key := newDelegationKey(p.Token(), audience, scope)
	if err := d.usable(p); err != nil {
		d.forget(key)
		return nil, nil, fmt.Errorf("delegate: %w", err)
	}
	e := d.delegation(key, p, audience, scope)
	t, err := e.live.get(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("delegate to %s: %w", audience, err)
	}
	own := *t
	return &own, e, nil
}

// usable reports why p's token can no longer be delegated.
func (d *Delegator) usable(p *Principal) error {
	if !d.now().Before(p.ExpiresAt()) {
		return ErrExpired
	}
	if d.revocations != nil {
		return d.revocations.Check(p)
	}
	return nil
}

func newDelegationKey(token, audience, scope string) delegationKey {
	h := sha256.New()
	for _, part := range []string{token, audience, scope} {
		// No part can hold a NUL: each is a header or form value.
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return delegationKey(h.Sum(nil))
}

func (d *Delegator) delegation(key delegationKey, p *Principal, audience, scope string) *delegation {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.revoked.Swap(false) {
		d.sweepLocked()
	}
	if e := d.tokens[key]; e != nil {
		return e
	}
	if len(d.tokens) >= d.max {
		d.sweepLocked()
	}
	for k := range d.tokens { // map order is random
		if len(d.tokens) < d.max {
			break
		}
		delete(d.tokens, k)
	}
	e := &delegation{subject: p, live: &liveToken{now: d.now, background: d.work.run, revocations: d.revocations, final: subjectRefused, fetch: func(ctx context.Context) (*oauth2.Token, error) {
		t, err := d.fetch(ctx, p, audience, scope)
		if err != nil {
			d.log.WarnContext(ctx, "delegated token could not be fetched", "audience", audience, "error", err)
		}
		return t, err
	}}}
	d.tokens[key] = e
	return e
}

func (d *Delegator) fetch(ctx context.Context, p *Principal, audience, scope string) (*oauth2.Token, error) {
	if err := d.usable(p); err != nil {
		return nil, err
	}
	form := url.Values{
		"grant_type":         {GrantTokenExchange},
		"subject_token":      {p.Token()},
		"subject_token_type": {TokenTypeAccessToken},
		"audience":           {audience},
	}
	setUnlessEmpty(form, "scope", scope)
	return d.endpoint.request(ctx, form)
}

// subjectRefused: the endpoint says that the caller's token is no good any
// more, so what was made of it is not either.
func subjectRefused(err error) bool {
	var refused *TokenError
	return errors.As(err, &refused) && refused.Code == "invalid_grant"
}

// sweepLocked drops what expired or was revoked.
func (d *Delegator) sweepLocked() {
	now := d.now()
	for key, e := range d.tokens {
		if e.live.expired(now) || d.usable(e.subject) != nil {
			delete(d.tokens, key)
		}
	}
}

func (d *Delegator) forget(key delegationKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tokens, key)
}
