package authn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// productToken is a token as a product's documentation shows it.
type productToken struct {
	name    string
	profile string
	typ     string
	claims  map[string]any
	check   func(t *testing.T, p *authn.Principal)
	err     error
}

var productTokens = []productToken{
	{name: "Keycloak user", profile: "keycloak", typ: "JWT", claims: map[string]any{
		"typ": "Bearer", "azp": "shop-web", "sid": "s-1", "acr": "1", "scope": "openid profile email",
		"realm_access":    map[string]any{"roles": []string{"staff", "offline_access"}},
		"resource_access": map[string]any{"account": map[string]any{"roles": []string{"view-profile"}}},
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, authn.KindUser, p.Kind())
		require.Equal(t, "shop-web", p.ClientID())
		require.True(t, p.HasRole("staff"))
		require.False(t, p.HasRole("view-profile"))
		require.Equal(t, "s-1", p.SessionID())
		require.Equal(t, authn.Allow, p.Can("order", "", "list_any"), "granted for the role by configuration")
	}},
	{name: "Keycloak service account", profile: "keycloak", typ: "JWT", claims: map[string]any{
		"typ": "Bearer", "azp": "billing", "client_id": "billing", "clientHost": "10.0.0.7", "clientAddress": "10.0.0.7",
		"preferred_username": "service-account-billing",
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, authn.KindService, p.Kind())
		require.Equal(t, "billing", p.ClientID())
		require.Empty(t, p.UserID())
	}},
	{name: "Keycloak ID token", profile: "keycloak", typ: "JWT", claims: map[string]any{"typ": "ID", "azp": "shop-web"}, err: authn.ErrClaims},
	{name: "Keycloak refresh token", profile: "keycloak", typ: "JWT", claims: map[string]any{"typ": "Refresh"}, err: authn.ErrClaims},
	{name: "Auth0 user", profile: "auth0", typ: "at+jwt", claims: map[string]any{
		"sub": "auth0|5f7c8ec7c33c6c004bbafe82", "azp": "my_client_id", "scope": "openid read:orders",
		"permissions": []string{"staff"}, "org_id": "org_9ybsU1dN2dKfDkBi",
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, "auth0|5f7c8ec7c33c6c004bbafe82", p.UserID())
		require.Equal(t, "my_client_id", p.ClientID())
		require.Equal(t, "org_9ybsU1dN2dKfDkBi", p.TenantID())
		require.True(t, p.HasScope("read:orders"))
		require.Equal(t, authn.Allow, p.Can("order", "", "list_any"))
		require.Equal(t, authn.Ask, p.Can("order", "", "read"))
	}},
	{name: "Auth0 machine to machine", profile: "auth0", typ: "JWT", claims: map[string]any{
		"sub": "my_client_id@clients", "azp": "my_client_id", "gty": "client-credentials", "scope": "read:orders",
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, authn.KindService, p.Kind())
		require.Equal(t, "my_client_id", p.ClientID())
	}},
	{name: "Entra ID user", profile: "entra", typ: "JWT", claims: map[string]any{
		"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "azp": "6731de76-14a6-49ae-97bc-6eba6914391e", "scp": "Orders.Read Orders.Write",
		"roles": []string{"staff"}, "tid": "9122040d-6c67-4c5b-b112-36a304b66dad", "uti": "u-1", "ver": "2.0",
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, authn.KindUser, p.Kind())
		require.True(t, p.HasScope("Orders.Write"))
		require.True(t, p.HasRole("staff"))
		require.Equal(t, "9122040d-6c67-4c5b-b112-36a304b66dad", p.TenantID())
		require.Equal(t, "u-1", p.TokenID())
	}},
	{name: "Entra ID application", profile: "entra", typ: "JWT", claims: map[string]any{
		"azp": "6731de76", "idtyp": "app", "roles": []string{"Orders.Read.All"},
	}, check: func(t *testing.T, p *authn.Principal) { require.Equal(t, authn.KindService, p.Kind()) }},
	{name: "Entra ID application without client", profile: "entra", typ: "JWT", claims: map[string]any{"idtyp": "app"}, err: authn.ErrClaims},
	{name: "RFC 9068 user", profile: "oidc", typ: "application/at+jwt", claims: map[string]any{
		"client_id": "shop-web", "scope": "a b", "roles": []string{"staff"}, "auth_time": 1, "acr": "2",
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, []string{"a", "b"}, p.Scopes())
		require.Equal(t, int64(1), p.OriginallyIssuedAt().Unix())
	}},
	{name: "ID token where access tokens have a type", profile: "oidc", typ: "JWT", claims: map[string]any{}, err: authn.ErrMalformed},
	{name: "promised Auther user", profile: "auther", typ: "at+jwt", claims: map[string]any{
		"client_id": "shop", "scope": "openid", "tenant_id": "acme", "sid": "s-1", "jti": "j-1",
		"permissions": map[string]any{"client_shop:order": []string{"read"}},
	}, check: func(t *testing.T, p *authn.Principal) {
		require.Equal(t, authn.KindUser, p.Kind())
		require.Equal(t, authn.Allow, p.Can("order", "o-1", "read"))
		require.Equal(t, authn.Deny, p.Can("order", "o-1", "void"))
	}},
	{name: "promised Auther: an ID token for our audience", profile: "auther", typ: "JWT", claims: map[string]any{}, err: authn.ErrMalformed},
}

func TestProfiles_ProductTokens(t *testing.T) {
	t.Parallel()
	for _, c := range productTokens {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"), authntest.WithClock(authntest.NewClock(start)))
			ic := iss.Config(c.profile)
			ic.RolePermissions = map[string]map[string][]string{"staff": {"order": {"list_any"}}}
			v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}, EntityTypes: shopTypes},
				authn.Options{Audiences: []string{aud}, Now: authntest.NewClock(start).Now})
			token := iss.Sign(map[string]any{
				"iss": iss.Name(), "sub": "6b1f0d5e", "aud": aud, "iat": start.Unix(), "exp": start.Unix() + 300,
			}, authntest.Claims(c.claims), authntest.Header("typ", c.typ))
			p, err := v.Verify(t.Context(), token)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			c.check(t, p)
		})
	}
}

func TestProfiles_ClaimNamesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	ic := iss.Config("oidc")
	ic.Claims = authn.ClaimNames{
		TenantID: authn.Names{"org", "tenant"}, Roles: authn.Names{"https://shop.example/roles", "/a~1b/c~0d", "/realm/x/roles"},
		SessionID: authn.Names{},
	}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
	p, err := v.Verify(t.Context(), iss.UserToken("alice", authntest.Claims(map[string]any{
		"tenant": "second", "org": "first", "https://shop.example/roles": []string{"r1"},
		"a/b": map[string]any{"c~d": "r2 r3"}, "realm": map[string]any{"x": map[string]any{"roles": []string{"r4"}}, "y": 1},
	})))
	require.NoError(t, err)
	require.Equal(t, "first", p.TenantID(), "the first name counts, whatever the order in the token")
	require.ElementsMatch(t, []string{"r1", "r2", "r3", "r4"}, p.Roles())
	require.Empty(t, p.SessionID(), "an empty list takes a name away")

	p, err = v.Verify(t.Context(), iss.UserToken("alice", authntest.Claims(map[string]any{"realm": "not an object", "org": "o"})))
	require.NoError(t, err)
	require.Empty(t, p.Roles())
}

func TestProfiles_Lists(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"auth0", "auther", "auther-observed", "entra", "keycloak", "oidc", "shadowless"}, authn.Profiles())
	require.Equal(t, []string{authn.QuirkIATMilliseconds}, authn.Quirks())
}

func TestProfiles_MillisecondQuirkIsForOneIssuerAlone(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	quirky, plain := authntest.NewIssuer(t, authntest.WithClock(clock)), authntest.NewIssuer(t, authntest.WithClock(clock))
	ic := withNamespace(quirky.Config("oidc"), "q|")
	ic.Quirks = []string{authn.QuirkIATMilliseconds}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic, withNamespace(plain.Config("oidc"), "p|")}},
		authn.Options{Audiences: []string{aud}, Now: clock.Now})
	ms := authntest.Claim("iat", start.UnixMilli())
	_, err := v.Verify(t.Context(), quirky.UserToken("alice", ms))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), quirky.UserToken("alice"))
	require.NoError(t, err, "seconds are accepted too")
	_, err = v.Verify(t.Context(), plain.UserToken("alice", ms))
	require.ErrorIs(t, err, authn.ErrNotYetValid)
}
