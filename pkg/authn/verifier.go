package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Options are what is one service's own, beside the Config that all share.
type Options struct {
	// Audiences of this service, required: one of them must be in `aud`.
	Audiences []string
	// Revocations is consulted for every token.
	Revocations *RevocationList
	// SkipRevocation allows Revocations to be nil. The caller MUST then accept
	// that a token lives until it expires, whatever happens.
	SkipRevocation bool
	// KeyStore keeps the last good key sets over a restart; nil keeps none.
	// DirKeyStore is one on disk.
	KeyStore KeyStore
	// HTTPClient fetches key sets; nil is a plain one. Its CheckRedirect is
	// replaced: redirects stay on their host.
	HTTPClient *http.Client
	// Logger gets what goes wrong with keys; nil is slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Development allows key sets over plain HTTP from other machines.
	Development bool
}

// Verifier verifies tokens. It is safe for concurrent use; Close ends its
// background work.
type Verifier struct {
	issuers     map[string]*issuer
	audiences   []string
	revocations *RevocationList
	entityTypes map[string]string
	cache       *tokenCache
	headers     *headerMemo
	log         *slog.Logger
	now         func() time.Time
}

// New builds a Verifier and starts fetching keys in the background. It never
// waits for the network; ctx passes values to the fetches and does not end
// them. The error names every fault.
func New(ctx context.Context, cfg Config, opts Options) (*Verifier, error) {
	faults := []error{cfg.Validate(), checkURLs(cfg, opts)}
	if len(opts.Audiences) == 0 || slices.Contains(opts.Audiences, "") {
		faults = append(faults, errors.New("audiences: at least one is required, and none may be empty"))
	}
	if opts.Revocations == nil && !opts.SkipRevocation {
		faults = append(faults, errors.New("revocations: a list is required, or SkipRevocation"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("authn: %w", err)
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	v := &Verifier{
		issuers:     make(map[string]*issuer, len(cfg.Issuers)),
		audiences:   slices.Clone(opts.Audiences),
		revocations: opts.Revocations,
		entityTypes: maps.Clone(cfg.EntityTypes),
		cache:       newTokenCache(cfg.Cache),
		headers:     newHeaderMemo(),
		log:         opts.Logger,
		now:         opts.Now,
	}
	for _, ic := range cfg.Issuers {
		i, err := newIssuer(ic, cfg.namespaceOf(ic), opts)
		if err != nil {
			return nil, fmt.Errorf("authn: %w", err)
		}
		v.issuers[ic.Issuer] = i
	}
	for _, i := range v.issuers {
		i.refresher.start(ctx)
	}
	return v, nil
}

// namespaceOf is the namespace of the issuer whose users ic speaks of.
func (c Config) namespaceOf(ic IssuerConfig) string {
	if ic.UsersOf == "" {
		return ic.UserNamespace
	}
	for _, other := range c.Issuers {
		if other.Issuer == ic.UsersOf {
			return other.UserNamespace
		}
	}
	return ""
}

// Close stops the background work and waits for it. Tokens whose keys are
// known can still be verified.
func (v *Verifier) Close() {
	for _, i := range v.issuers {
		i.refresher.close()
	}
}

// Ready returns nil when every issuer has a usable key set, fresh or stored.
func (v *Verifier) Ready() error {
	now := v.now()
	var errs []error
	for _, i := range v.issuers {
		errs = append(errs, i.ready(now))
	}
	return errors.Join(errs...)
}

// Revocations is the list that the verifier consults, or nil.
func (v *Verifier) Revocations() *RevocationList { return v.revocations }

// Verify returns the caller that token stands for. The token must be for one
// of Options.Audiences. The error is one of the package's sentinels.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	return v.verify(ctx, token, func(e *verified) bool { return e.ours })
}

// VerifyFor is Verify with other audiences, any one of which must be in `aud`.
// It is for a token exchange, which is given tokens made for others.
func (v *Verifier) VerifyFor(ctx context.Context, token string, audiences ...string) (*Principal, error) {
	return v.verify(ctx, token, func(e *verified) bool {
		return slices.ContainsFunc(audiences, e.principal.HasAudience)
	})
}

func (v *Verifier) verify(ctx context.Context, token string, meant func(*verified) bool) (*Principal, error) {
	now := v.now()
	var hash uint64
	if len(token) <= maxTokenBytes {
		hash = v.cache.hash(token)
		if e := v.cache.get(token, hash); e != nil {
			if e.issuer.holds(e.vouched, now) {
				return v.again(e, meant, now)
			}
			v.cache.drop(e)
		}
	}
	e, err := v.verifyCold(ctx, own(token[:min(len(token), maxTokenBytes+1)]), now)
	if err != nil {
		return nil, err
	}
	if err := v.admit(e, meant, now); err != nil {
		return nil, err
	}
	v.cache.put(e, hash, now)
	return &e.principal, nil
}

// again is a repeated token's way.
func (v *Verifier) again(e *verified, meant func(*verified) bool, now time.Time) (*Principal, error) {
	if err := v.admit(e, meant, now); err != nil {
		if !errors.Is(err, ErrAudience) { // expired or revoked, for good
			v.cache.drop(e)
		}
		return nil, err
	}
	return &e.principal, nil
}

// verifyCold does everything that does not change while a token lives.
func (v *Verifier) verifyCold(ctx context.Context, token string, now time.Time) (*verified, error) {
	t, err := parseCompactWith(v.headers, token)
	if err != nil {
		return nil, err
	}
	name, err := readIssuer(t)
	if err != nil {
		return nil, err
	}
	i := v.issuers[name]
	if i == nil {
		return nil, ErrUnknownIssuer
	}
	if err := i.checkHeader(t.header); err != nil {
		return nil, err
	}
	voucher, err := i.checkSignature(ctx, t, now)
	if err != nil {
		return nil, err
	}
	v.headers.remember(t)
	c, err := decodeClaims(t, i.plan)
	if err != nil {
		return nil, err
	}
	e := newVerified(i, voucher)
	if err := i.fill(&e.principal, t, c, v.entityTypes, now); err != nil {
		return nil, err
	}
	e.settle(v.audiences)
	return e, nil
}

// admit does what every use of a token needs, cached or not.
func (v *Verifier) admit(e *verified, meant func(*verified) bool, now time.Time) error {
	if now.Unix() >= e.deadline {
		return ErrExpired
	}
	if !meant(e) {
		return ErrAudience
	}
	if v.revocations != nil {
		return v.revocations.checkAgain(e.checks, &e.clearAt)
	}
	return nil
}
