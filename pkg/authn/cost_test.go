package authn_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// fullToken has everything that a token of about a kilobyte has.
func fullToken(iss *authntest.Issuer, user string) string {
	return iss.UserToken(user,
		authntest.Audience(aud, "billing"), authntest.Tenant("acme"), authntest.Scope("openid profile email offline_access"),
		authntest.Permissions(map[string][]string{
			"client_shop:order":   {"place", "read", "cancel"},
			"client_shop:invoice": {"read", "pay", "refund"},
			"client_shop:parcel":  {"read", "track", "return"},
		}), authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}))
}

// Allocations are counted here and times are measured in the bench module.
func TestVerify_Allocations(t *testing.T) { // not parallel: AllocsPerRun counts everybody's
	for alg, most := range map[string]float64{"RS256": 40, "ES256": 40, "EdDSA": 30} {
		t.Run(alg, func(t *testing.T) {
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm(alg))
			v := authntest.NewVerifier(t, authn.Config{
				Issuers: []authn.IssuerConfig{iss.Config("shadowless")}, Cache: authn.CacheConfig{Entries: -1},
			}, authn.Options{Audiences: []string{aud}})
			token := fullToken(iss, "alice")
			verify := func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Fatal(err)
				}
			}
			verify()
			require.LessOrEqual(t, testing.AllocsPerRun(100, verify), most)
		})
	}
}

func TestVerify_RepeatedTokenAllocatesNothing(t *testing.T) { // not parallel: as above
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	token := fullToken(iss, "alice")
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	for _, kind := range []authn.RevocationKind{authn.RevokedToken, authn.RevokedSession, authn.RevokedUser, authn.RevokedClient, authn.BlockedUser} {
		for n := range 1000 {
			v.Revocations().Apply(revoke(kind, fmt.Sprint("somebody else ", n)))
		}
	}
	another := revoke(authn.BlockedUser, "somebody else")
	changes := 0.0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if p, err := v.Verify(t.Context(), token); err != nil || p != first {
			t.Fatal(p, err)
		}
		if changes++; int(changes)%2 == 0 {
			v.Revocations().Apply(another)
		}
	}))

	handler := v.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := authn.FromContext(r.Context()); !ok || p != first {
			t.Error("another caller")
		}
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { handler.ServeHTTP(nil, r) }), 1.0)
}

// A flood of tokens that are all valid, all different and come once, through
// the front: what is in use stays at hand.
func TestVerify_FloodOfValidTokensLeavesThoseInUse(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	v := authntest.NewVerifier(t, authn.Config{
		Issuers: []authn.IssuerConfig{iss.Config("shadowless")}, Cache: authn.CacheConfig{Entries: 100},
	}, authn.Options{Audiences: []string{aud}})
	tokens, first := make([]string, 20), make([]*authn.Principal, 20)
	for n := range tokens {
		var err error
		tokens[n] = iss.UserToken(fmt.Sprint("user-", n))
		first[n], err = v.Verify(t.Context(), tokens[n])
		require.NoError(t, err)
	}
	for n := range 600 {
		if n%20 == 0 {
			for k, token := range tokens {
				p, err := v.Verify(t.Context(), token)
				require.NoError(t, err)
				require.Same(t, first[k], p, "still the one that was remembered")
			}
		}
		_, err := v.Verify(t.Context(), iss.UserToken(fmt.Sprint("flood-", n)))
		require.NoError(t, err)
	}
}

// The middleware's context is a real one: values, cancellation and the caller.
func TestMiddleware_KeepsTheRequestAndItsContext(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	type key struct{}
	var seen *http.Request
	handler := v.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r }))
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", handler)
	r := httptest.NewRequest(http.MethodGet, "/orders/7?q=1", nil)
	r = r.WithContext(context.WithValue(r.Context(), key{}, "value"))
	r.Header.Set("Authorization", "Bearer "+iss.UserToken("alice"))
	before := r.Context()
	mux.ServeHTTP(httptest.NewRecorder(), r)
	require.NotSame(t, r, seen, "the request itself is not changed")
	require.Equal(t, before, r.Context())
	require.Equal(t, "7", seen.PathValue("id"))
	require.Equal(t, r.URL, seen.URL)
	require.Equal(t, "value", seen.Context().Value(key{}))
	p, ok := authn.FromContext(seen.Context())
	require.True(t, ok)
	require.Equal(t, "alice", p.UserID())
	require.Nil(t, seen.Context().Value("no such key"))
}
