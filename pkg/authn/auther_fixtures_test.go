package authn_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// autherFixtures are what an Auther server really sent in November 2026.
type autherFixtures struct {
	Initial    json.RawMessage `json:"jwks_initial"`
	TwoKeys    json.RawMessage `json:"jwks_two_keys"`
	AfterPrune json.RawMessage `json:"jwks_after_prune"`
	OIDC       struct {
		Response struct {
			AccessToken string `json:"access_token"`
			IDToken     string `json:"id_token"`
		} `json:"response"`
	} `json:"oidc_public_pkce"`
	Session struct {
		Raw string `json:"raw"`
	} `json:"session_jwt"`
	APIKey struct {
		Response struct {
			Token string `json:"token"`
		} `json:"response"`
	} `json:"apikey_scoped"`
}

const (
	autherIssuer = "http://localhost:3100"
	autherUser   = "RAzHr6Z8RwoSbZHSnhARQkhP0Qjh6dx1"
)

var autherTime = time.Date(2026, 11, 21, 19, 20, 0, 0, time.UTC)

func loadAutherFixtures(t *testing.T) autherFixtures {
	t.Helper()
	data, err := os.ReadFile("testdata/auther/tokens.json")
	require.NoError(t, err)
	var f autherFixtures
	require.NoError(t, json.Unmarshal(data, &f))
	return f
}

func autherVerifier(t *testing.T, profile string, clock *authntest.Clock, jwks []byte) (*authn.Verifier, *authntest.Issuer) {
	t.Helper()
	server := authntest.NewIssuer(t, authntest.WithIssuer(autherIssuer), authntest.WithAlgorithm("EdDSA"))
	server.ServeJWKS(jwks)
	ic := server.Config(profile)
	ic.Algorithms = nil
	grace := time.Minute
	ic.Keys.RemovedTrust = &grace
	return authntest.NewVerifier(t, authn.Config{
		Issuers:     []authn.IssuerConfig{ic},
		EntityTypes: map[string]string{"order": "client_shop:order", "report": "client_shop:report"},
	}, authn.Options{Audiences: []string{"payload-admin", "payload-spa-client"}, Now: clock.Now}), server
}

func TestAutherObserved_IDTokenWithMillisecondIAT(t *testing.T) {
	t.Parallel()
	f := loadAutherFixtures(t)
	clock := authntest.NewClock(autherTime)
	v, _ := autherVerifier(t, "auther-observed", clock, f.Initial)
	p, err := v.Verify(t.Context(), f.OIDC.Response.IDToken)
	require.NoError(t, err)
	require.Equal(t, authn.KindUser, p.Kind())
	require.Equal(t, autherUser, p.UserID())
	require.Equal(t, []string{"payload-spa-client"}, p.Audiences())
	require.Equal(t, int64(1795288231), p.IssuedAt().Unix(), "1795288231758 ms, rounded down")
	require.Equal(t, p.IssuedAt(), p.OriginallyIssuedAt())
	require.Equal(t, "urn:mace:incommon:iap:silver", p.ACR())
	require.Len(t, p.TokenID(), 43, "a token without jti is known by the hash of its signing input")
	require.False(t, p.PermissionsAuthoritative())
	require.Equal(t, authn.Ask, p.Can("order", "o-1", "read"), "a token without permissions says nothing about them")

	clock.Set(p.ExpiresAt().Add(30 * time.Second))
	_, err = v.Verify(t.Context(), f.OIDC.Response.IDToken)
	require.ErrorIs(t, err, authn.ErrExpired)
}

func TestAutherObserved_SessionJWT(t *testing.T) {
	t.Parallel()
	f := loadAutherFixtures(t)
	v, _ := autherVerifier(t, "auther-observed", authntest.NewClock(autherTime), f.TwoKeys)
	p, err := v.Verify(t.Context(), f.Session.Raw)
	require.NoError(t, err)
	require.Equal(t, authn.KindUser, p.Kind())
	require.Equal(t, autherUser, p.UserID())
	require.Equal(t, int64(1795288067), p.IssuedAt().Unix())
	require.Empty(t, p.SessionID())
}

func TestAutherObserved_APIKeyTokenIsAService(t *testing.T) {
	t.Parallel()
	f := loadAutherFixtures(t)
	for _, profile := range []string{"auther", "auther-observed"} {
		v, _ := autherVerifier(t, profile, authntest.NewClock(autherTime), f.TwoKeys)
		p, err := v.Verify(t.Context(), f.APIKey.Response.Token)
		require.NoError(t, err, profile)
		require.Equal(t, authn.KindService, p.Kind())
		require.Empty(t, p.UserID(), "the key's owner is not the caller")
		require.Equal(t, "tSaiAhuWbwY7lNco3GjiMn6GZPksyrrW", p.Subject())
		require.Equal(t, "apikey:4HGCeH6lNctCqpNVy2Y5G5vWJXtMHZkN", p.ClientID())
		require.Equal(t, authn.Allow, p.Can("order", "o-1", "read"))
		require.Equal(t, authn.Ask, p.Can("order", "o-1", "refund"))
		require.Equal(t, authn.Deny, p.Can("order", "o-1", "delete"))
		require.Equal(t, authn.Ask, p.Can("report", "r-1", "read"))
		require.Equal(t, authn.Deny, p.Can("report", "r-2", "read"))
		require.Equal(t, authn.Allow, p.Can("platform", "", "member"))
	}
}

func TestAutherPromised_RefusesWhatAutherReallySendsForUsers(t *testing.T) {
	t.Parallel()
	f := loadAutherFixtures(t)
	v, _ := autherVerifier(t, "auther", authntest.NewClock(autherTime), f.TwoKeys)
	for _, token := range []string{f.OIDC.Response.IDToken, f.Session.Raw} {
		_, err := v.Verify(t.Context(), token)
		require.ErrorIs(t, err, authn.ErrMalformed, "no typ")
	}
	_, err := v.Verify(t.Context(), f.OIDC.Response.AccessToken)
	require.ErrorIs(t, err, authn.ErrMalformed, "opaque")
}

func TestAutherObserved_KeyRotation(t *testing.T) {
	t.Parallel()
	f := loadAutherFixtures(t)
	clock := authntest.NewClock(autherTime)
	v, server := autherVerifier(t, "auther-observed", clock, f.Initial)

	_, err := v.Verify(t.Context(), f.Session.Raw)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), f.APIKey.Response.Token)
	require.ErrorIs(t, err, authn.ErrUnknownKey, "signed by a key that is not published yet")

	server.ServeJWKS(f.TwoKeys)
	_, err = v.Verify(t.Context(), f.APIKey.Response.Token)
	require.NoError(t, err, "an unknown kid has the set fetched again")
	_, err = v.Verify(t.Context(), f.Session.Raw)
	require.NoError(t, err)

	server.ServeJWKS(f.AfterPrune)
	refetch(t, v, server, f.Session.Raw)
	_, err = v.Verify(t.Context(), f.Session.Raw)
	require.NoError(t, err, "a removed key is trusted for a bounded time")
	clock.Advance(time.Minute)
	_, err = v.Verify(t.Context(), f.Session.Raw)
	require.ErrorIs(t, err, authn.ErrUnknownKey)
	_, err = v.Verify(t.Context(), f.APIKey.Response.Token)
	require.NoError(t, err)
}

func TestAuther_ContradictoryMarksAreRefused(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	for _, profile := range []string{"auther", "auther-observed"} {
		ic := iss.Config(profile)
		ic.Types = []string{"at+jwt", "JWT", ""}
		v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{authntest.DefaultAudience}})
		bare := []authntest.TokenOption{authntest.Claim("kind", nil), authntest.Claim("sid", nil), authntest.Claim("auth_time", nil)}
		key := authntest.Claim("apiKeyId", "k-1")
		scope := authntest.Scope("api_key_exchange")
		sign := func(opts ...authntest.TokenOption) string { return iss.UserToken("owner", append(bare, opts...)...) }

		for name, token := range map[string]string{
			"ID and scope": sign(key, scope), "ID alone": sign(key), "ID, scope and kind": sign(key, scope, authntest.Claim("kind", "service")),
		} {
			p, err := v.Verify(t.Context(), token)
			require.NoError(t, err, name)
			require.Equal(t, authn.KindService, p.Kind(), name)
			require.Equal(t, "apikey:k-1", p.ClientID(), name)
		}
		for name, token := range map[string]string{
			"scope without ID":           sign(scope),
			"ID with another scope":      sign(key, authntest.Scope("openid")),
			"ID with one scope too many": sign(key, authntest.Scope("api_key_exchange openid")),
			"ID and kind user":           sign(key, scope, authntest.Claim("kind", "user")),
			"kind service without ID":    sign(authntest.Claim("kind", "service")),
			"ID and session":             sign(key, scope, authntest.Session("s-1")),
			"ID and auth_time":           sign(key, scope, authntest.Claim("auth_time", 1)),
			"ID and actor":               sign(key, scope, authntest.ActedBy("orders")),
			"ID is a number":             sign(authntest.Claim("apiKeyId", 1), scope),
			"ID is empty":                sign(authntest.Claim("apiKeyId", ""), scope),
		} {
			_, err := v.Verify(t.Context(), token)
			require.ErrorIs(t, err, authn.ErrClaims, name)
		}
	}
}
