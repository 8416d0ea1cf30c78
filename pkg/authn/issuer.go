package authn

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// leeway for clocks that differ, in both directions.
const leeway = 30 * time.Second

// issuer is one configured issuer with its keys and rules.
type issuer struct {
	name      string
	profile   profile
	plan      *claimPlan
	namespace string
	roles     map[string]map[string][]string
	storage   *keyStorage
	keys      keyfunc.Keyfunc
	refresher *refresher
}

// newIssuer builds one issuer. Each has a keyfunc of its own: one over several
// key sets would accept a key of issuer B for a token of issuer A.
func newIssuer(ic IssuerConfig, namespace string, opts Options) (*issuer, error) {
	p := ic.profile()
	i := &issuer{
		name: ic.Issuer, profile: p, plan: newClaimPlan(p), namespace: namespace,
		roles: ic.RolePermissions, storage: newKeyStorage(opts.Now),
	}
	var err error
	i.keys, err = keyfunc.New(keyfunc.Options{
		Storage:      i.storage,
		UseWhitelist: []jwkset.USE{"", jwkset.UseSig},
	})
	if err != nil {
		return nil, fmt.Errorf("issuer %s: %w", ic.Issuer, err)
	}
	i.refresher = &refresher{
		issuer: ic.Issuer, storage: i.storage, fetcher: newKeyFetcher(opts.HTTPClient, ic.JWKSURLs, opts.Now),
		store: opts.KeyStore, log: opts.Logger, now: opts.Now,
		refresh: defaultRefresh, removedTrust: defaultRemovedTrust, maxAge: defaultMaxAge,
	}
	if ic.Keys.Refresh > 0 {
		i.refresher.refresh = ic.Keys.Refresh
	}
	if ic.Keys.RemovedTrust != nil {
		i.refresher.removedTrust = *ic.Keys.RemovedTrust
	}
	if ic.Keys.MaxAge > 0 {
		i.refresher.maxAge = ic.Keys.MaxAge
	}
	return i, nil
}

// checkHeader holds `alg` and `typ` to the issuer's lists.
func (i *issuer) checkHeader(h joseHeader) error {
	if !slices.Contains(i.profile.algorithms, h.Alg) {
		return malformed("header: alg: not accepted of this issuer")
	}
	if !typAccepted(i.profile.types, h.Typ) && !typAccepted(i.profile.serviceTypes, h.Typ) {
		return malformed("header: typ: not accepted of this issuer")
	}
	return nil
}

// vouched is what a signature rests on, for the cache.
type vouched struct {
	generation uint64
	until      time.Time
}

// checkSignature finds the key and verifies.
func (i *issuer) checkSignature(ctx context.Context, t compactToken, now time.Time) (vouched, error) {
	set, key, err := i.key(ctx, keyUse{alg: t.header.Alg, kid: t.header.KID}, now)
	if err != nil {
		return vouched{}, err
	}
	if err := verifySignature(t.header.Alg, key.key, t.signingInput, t.signature); err != nil {
		return vouched{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return vouched{generation: set.generation, until: key.until}, nil
}

// key returns the key for use and the state of the key set that it is from.
// That state is read before the verification, so that a change in between
// voids the result.
func (i *issuer) key(ctx context.Context, use keyUse, now time.Time) (*keySet, resolvedKey, error) {
	set := i.storage.set.Load()
	if r, ok := set.resolve(use, now); ok {
		return set, r, nil
	}
	key, err := i.keys.KeyfuncCtx(ctx)(&jwt.Token{
		Method: signingMethod(use.alg),
		Header: map[string]any{"alg": use.alg, "kid": use.kid},
	})
	switch {
	case errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrUnknownKey):
		return nil, resolvedKey{}, err
	case err != nil: // the key is for another algorithm
		return nil, resolvedKey{}, fmt.Errorf("%w: %w", ErrSignature, err)
	case !keyFits(use.alg, key):
		return nil, resolvedKey{}, fmt.Errorf("%w: alg does not fit the key", ErrSignature)
	}
	// keyfunc may have waited for a fetch; only a key of one known state counts.
	set = i.storage.set.Load()
	jwk, until, ok := set.lookup(use.kid, now)
	if !ok || !samePublicKey(jwk.Key(), key) {
		return nil, resolvedKey{}, fmt.Errorf("%w: removed meanwhile", ErrUnknownKey)
	}
	r := resolvedKey{key: key, until: until}
	set.remember(use, r)
	return set, r, nil
}

// holds reports whether the key behind v is still trusted.
func (i *issuer) holds(v vouched, now time.Time) bool {
	return i.storage.set.Load().generation == v.generation && now.Before(v.until)
}

func (i *issuer) ready(now time.Time) error {
	if !i.storage.set.Load().usable(now) {
		return fmt.Errorf("issuer %s: %w", i.name, ErrKeysUnavailable)
	}
	return nil
}

// permissionsOf adds what the configuration grants for roles.
func (i *issuer) permissionsOf(fromToken grants, roles []string, entityTypes map[string]string) grants {
	all := fromToken
	for _, role := range roles {
		for entityType, names := range i.roles[role] {
			if remote, ok := entityTypes[entityType]; ok {
				entityType = remote
			}
			if len(names) > 0 {
				all = all.with(entityType, names)
			}
		}
	}
	return all
}

// samePublicKey compares keys as the crypto packages do.
func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// checkURLs refuses plain HTTP to other machines: a neighbor on the network
// could hand us keys of his own.
func checkURLs(cfg Config, opts Options) error {
	if bad := cfg.insecureURLs(); len(bad) > 0 && !opts.Development {
		return fmt.Errorf("jwks_urls: plain http only in development or to this machine: %s", strings.Join(bad, ", "))
	}
	return nil
}
