package authn

import (
	"context"
	"crypto/sha256"
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

// DelegatorConfig of NewDelegator. See TokenSourceConfig for the common fields.
type DelegatorConfig struct {
	TokenURL      string
	ClientID      string
	APIKeyFile    string
	AssertionFile string
	HTTPClient    *http.Client
	Logger        *slog.Logger
	Now           func() time.Time
	// Revocations, if given, keeps delegated tokens from outliving the token
	// they were made from.
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
	if p == nil {
		return nil, ErrMissingToken
	}
	if audience == "" {
		return nil, fmt.Errorf("delegate: %w: no audience", ErrTokenRefused)
	}
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scope := strings.Join(slices.Compact(scopes), " ")
	key := newDelegationKey(p.Token(), audience, scope)
	if err := d.usable(p); err != nil {
		d.forget(key)
		return nil, fmt.Errorf("delegate: %w", err)
	}
	t, err := d.delegation(key, p, audience, scope).live.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("delegate to %s: %w", audience, err)
	}
	own := *t
	return &own, nil
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
	e := &delegation{subject: p, live: &liveToken{now: d.now, background: d.work.run, fetch: func(ctx context.Context) (*oauth2.Token, error) {
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
