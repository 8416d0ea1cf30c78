package bench

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Verify returns an error unless the token is acceptable.
type Verify func(ctx context.Context, token string) error

// Contender is one way to verify a token.
type Contender struct {
	Name string
	// New sets it up for the issuer, with its keys at hand. The returned
	// function releases what it holds.
	New func(ctx context.Context, i *Issuer) (Verify, func(), error)
}

// Contenders lists them all; the first is what the others are compared with.
func Contenders() []Contender {
	return []Contender{
		{"bare signature check", newBare},
		{"hand-written floor", newFloor},
		{"authn, cold", newCold},
		{"keyfunc v3 + golang-jwt v5", newKeyfunc},
		{"go-oidc v3", newGoOIDC},
		{"auth0 middleware v2", newAuth0V2},
		{"auth0 middleware v3", newAuth0V3},
		{"jwx v3", newJWX},
	}
}

// coldEntries is a cache so small that a token of a longer round is never found
// in it, so that a cold verification pays for remembering and for evicting.
const coldEntries = 16

func newCold(ctx context.Context, i *Issuer) (Verify, func(), error) {
	v, _, err := NewVerifier(ctx, i, coldEntries)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}, v.Close, nil
}

// NewVerifier returns a verifier of i's tokens that has fetched its keys and
// checks an empty revocation list.
func NewVerifier(ctx context.Context, i *Issuer, cacheEntries int) (*authn.Verifier, *authn.RevocationList, error) {
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	v, err := authn.New(ctx, authn.Config{
		Issuers: []authn.IssuerConfig{{Issuer: i.Name(), Profile: "oidc", JWKSURLs: []string{i.JWKSURL()}}},
		Cache:   authn.CacheConfig{Entries: cacheEntries},
	}, authn.Options{
		Audiences: []string{Audience}, Revocations: list, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("verifier: %w", err)
	}
	tokens, err := i.Tokens(1)
	if err != nil {
		v.Close()
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := v.Verify(ctx, tokens[0]); err != nil {
		v.Close()
		return nil, nil, fmt.Errorf("first verification: %w", err)
	}
	return v, list, nil
}
