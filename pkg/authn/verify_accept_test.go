package authn_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestVerify_AcceptsEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm(alg), authntest.WithClock(authntest.NewClock(start)))
			v := iss.Verifier(t, "orders")
			p, err := v.Verify(t.Context(), iss.UserToken("auth0|5f7c", authntest.Audience("billing", "orders"),
				authntest.Scope("openid orders:read"), authntest.Tenant("acme"), authntest.Session("s-1"), authntest.ID("j-1"),
				authntest.Claim("acr", "2"), authntest.Claim("ancestors", []string{"j-0"})))
			require.NoError(t, err)
			require.Equal(t, authn.KindUser, p.Kind())
			require.Equal(t, "auth0|5f7c", p.UserID())
			require.Equal(t, "auth0|5f7c", p.Subject())
			require.Equal(t, iss.Name(), p.Issuer())
			require.Equal(t, "console", p.ClientID())
			require.Equal(t, []string{"billing", "orders"}, p.Audiences())
			require.True(t, p.HasScope("orders:read"))
			require.False(t, p.HasScope("orders"))
			require.Equal(t, "acme", p.TenantID())
			require.Equal(t, "s-1", p.SessionID())
			require.Equal(t, "j-1", p.TokenID())
			require.Equal(t, []string{"j-0"}, p.Ancestors())
			require.Equal(t, "2", p.ACR())
			require.Equal(t, start.Unix(), p.IssuedAt().Unix())
			require.Equal(t, start.Unix(), p.AuthTime().Unix())
			require.Equal(t, start.Add(authntest.DefaultLifetime).Unix(), p.ExpiresAt().Unix())
			require.Nil(t, p.Actor())
		})
	}
}

func TestVerify_AcceptsHighAndLowS(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	token := iss.UserToken("alice")
	other := flipS(t, token, iss.SigningKey())
	require.NotEqual(t, token, other)

	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	q, err := v.Verify(t.Context(), other)
	require.NoError(t, err, "(r, n-s) is an honest signature")
	require.Equal(t, p.TokenID(), q.TokenID())
}

func TestVerify_SpellingsOfOneSignatureShareTheTokenID(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	token := iss.UserToken("alice", authntest.Claim("jti", nil))
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NotEmpty(t, p.TokenID())

	v.Revocations().Apply(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, p.TokenID())})
	_, err = v.Verify(t.Context(), flipS(t, token, iss.SigningKey()))
	require.ErrorIs(t, err, authn.ErrRevoked)
}

// flipS replaces s by n-s in an ES256 token.
func flipS(t *testing.T, token string, key authntest.Key) string {
	t.Helper()
	dot := strings.LastIndex(token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	n := key.Private.Public().(*ecdsa.PublicKey).Curve.Params().N
	s := new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:]))
	s.FillBytes(sig[32:])
	return token[:dot+1] + base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerify_AcceptsOddButLegalUserIDs(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	for _, sub := range []string{".", "..", " padded ", "a/b?c#d", "日本語", "Alice", "alice@example.com", "clients:1", strings.Repeat("x", 255)} { //nolint:gosmopolitan // users have names in every script
		p, err := v.Verify(t.Context(), iss.UserToken(sub))
		require.NoError(t, err, sub)
		require.Equal(t, sub, p.UserID())
	}
}

func TestVerify_LeewayIsThirtySeconds(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	v := iss.Verifier(t, authntest.DefaultAudience)
	verify := func(opt authntest.TokenOption) error {
		_, err := v.Verify(t.Context(), iss.UserToken("alice", opt))
		return err
	}
	require.NoError(t, verify(authntest.ExpiresAt(start.Add(-29*time.Second))))
	require.ErrorIs(t, verify(authntest.ExpiresAt(start.Add(-30*time.Second))), authn.ErrExpired)
	require.NoError(t, verify(authntest.Claim("iat", start.Add(30*time.Second).Unix())))
	require.ErrorIs(t, verify(authntest.Claim("iat", start.Add(31*time.Second).Unix())), authn.ErrNotYetValid)
	require.NoError(t, verify(authntest.Claim("nbf", start.Add(30*time.Second).Unix())))
	require.ErrorIs(t, verify(authntest.Claim("nbf", start.Add(31*time.Second).Unix())), authn.ErrNotYetValid)
}

func TestVerify_CachedTokenIsCheckedAgain(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	v := iss.Verifier(t, authntest.DefaultAudience)

	token := iss.UserToken("alice", authntest.ID("j-1"))
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	again, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Same(t, first, again, "the second one comes from the cache")

	_, err = v.VerifyFor(t.Context(), token, "someone-else")
	require.ErrorIs(t, err, authn.ErrAudience)

	v.Revocations().Apply(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, "j-1")})
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrRevoked)

	other := iss.UserToken("bob")
	_, err = v.Verify(t.Context(), other)
	require.NoError(t, err)
	clock.Advance(authntest.DefaultLifetime + 30*time.Second)
	_, err = v.Verify(t.Context(), other)
	require.ErrorIs(t, err, authn.ErrExpired)
}

func TestVerify_KnownSignatureDoesNotVouchForAnotherPayload(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	alice, bob := strings.Split(iss.UserToken("alice"), "."), strings.Split(iss.UserToken("bob"), ".")
	_, err := v.Verify(t.Context(), strings.Join(alice, "."))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), bob[0]+"."+bob[1]+"."+alice[2])
	require.ErrorIs(t, err, authn.ErrSignature)
}

func TestVerify_CacheStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	for _, cache := range []authn.CacheConfig{{Entries: 4}, {Bytes: 8 << 10}, {Entries: -1}} {
		t.Run(fmt.Sprintf("%+v", cache), func(t *testing.T) {
			t.Parallel()
			v := authntest.NewVerifier(t, authn.Config{
				Issuers: []authn.IssuerConfig{iss.Config("shadowless")}, Cache: cache,
			}, authn.Options{Audiences: []string{authntest.DefaultAudience}})
			for i := range 50 {
				p, err := v.Verify(t.Context(), iss.UserToken(fmt.Sprint("user-", i)))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint("user-", i), p.UserID())
			}
		})
	}
}

func TestVerify_ServiceAndDelegatedTokens(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)

	p, err := v.Verify(t.Context(), iss.ServiceToken("orders", authntest.Scope("billing:invoices:create")))
	require.NoError(t, err)
	require.Equal(t, authn.KindService, p.Kind())
	require.Equal(t, "orders", p.ClientID())
	require.Equal(t, "client:orders", p.Subject())
	require.Empty(t, p.UserID())

	p, err = v.Verify(t.Context(), iss.UserToken("alice", authntest.ActedBy("billing", "orders")))
	require.NoError(t, err)
	require.Equal(t, authn.KindUser, p.Kind())
	require.Equal(t, "alice", p.UserID())
	require.Equal(t, "billing", p.ClientID())
	require.Equal(t, "billing", p.Actor().ClientID())
	require.Equal(t, "client:billing", p.Actor().Subject())
	require.Equal(t, "orders", p.Actor().Actor().ClientID())
	require.Nil(t, p.Actor().Actor().Actor())
}

func TestPrincipal_ShowsNoTokenAndNoUser(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	token := iss.UserToken("alice@example.com")
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, token, p.Token())
	for _, shown := range []string{fmt.Sprint(p), fmt.Sprintf("%v %+v %#v %s %q %d", p, p, p, p, p, p), p.LogValue().String()} {
		require.NotContains(t, shown, token)
		require.NotContains(t, shown, "alice")
	}
}

func TestPrincipal_GivesCopies(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, authntest.DefaultAudience)
	p, err := v.Verify(t.Context(), iss.UserToken("alice", authntest.Scope("a b"),
		authntest.Permissions(map[string][]string{"order": {"read"}})))
	require.NoError(t, err)
	p.Permissions()["order"][0] = "write"
	p.Permissions()["invoice"] = []string{"refund"}
	p.Scopes()[0] = "z"
	p.Audiences()[0] = "z"
	require.Equal(t, map[string][]string{"order": {"read"}}, p.Permissions())
	require.Equal(t, []string{"a", "b"}, p.Scopes())
	require.Equal(t, []string{authntest.DefaultAudience}, p.Audiences())
}
