package authn_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

const goodConfig = `
issuers:
  - issuer: https://token-exchange.example
    profile: shadowless
    jwks_urls: [https://token-exchange.example/.well-known/jwks.json]
    users_of: https://idp.example
  - issuer: https://idp.example
    profile: auther-observed
    jwks_urls:
      - https://cdn.example/jwks
      - https://idp.example/api/auth/jwks
    keys: {refresh: 1m, removed_trust: 0s, max_age: 24h}
    algorithms: [EdDSA]
    types: ["", JWT]
    claims:
      tenant_id: org
      roles: [/realm_access/roles, https://shop.example/roles]
    permissions_authoritative: true
    role_permissions:
      staff: {order: [list_any]}
    quirks: [iat-milliseconds]
entity_types: {order: client_shop:order}
cache: {entries: 100, bytes: 1000000}
`

func TestParseConfig(t *testing.T) {
	t.Parallel()
	cfg, err := authn.ParseConfig([]byte(goodConfig))
	require.NoError(t, err)
	require.Len(t, cfg.Issuers, 2)
	idp := cfg.Issuers[1]
	require.Equal(t, authn.Names{"org"}, idp.Claims.TenantID)
	require.Equal(t, authn.Names{"/realm_access/roles", "https://shop.example/roles"}, idp.Claims.Roles)
	require.Equal(t, time.Minute, idp.Keys.Refresh)
	require.Zero(t, *idp.Keys.RemovedTrust)
	require.True(t, *idp.PermissionsAuthoritative)

	path := filepath.Join(t.TempDir(), "authn.yaml")
	require.NoError(t, os.WriteFile(path, []byte(goodConfig), 0o600))
	loaded, err := authn.LoadConfig(path)
	require.NoError(t, err)
	require.Equal(t, cfg, loaded)
	_, err = authn.LoadConfig(path + ".missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseConfig_ReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := authn.ParseConfig([]byte(`
issuers:
  - issuer: https://a.example
    profile: cognito
    jwks_urls: [ftp://a.example/jwks, "https://user:pw@a.example/jwks"]
    algorithms: [HS256, none]
    quirks: [anything-goes]
    claims: {roles: "/a//b", tenant_id: ""}
    service_marks: {gty: ""}
    user_namespace: "client:"
    keys: {refresh: 1ms, removed_trust: -1s, max_age: -1s}
    insecure: true
  - issuer: https://a.example
    profile: oidc
  - profile: oidc
    jwks_urls: [https://c.example/jwks]
    users_of: https://nobody.example
entity_types: {order: ""}
nonsense: 1
`))
	require.Error(t, err)
	for _, want := range []string{
		"field insecure not found", "field nonsense not found",
		`profile: "cognito"`, "jwks_urls[0]: not an http(s) URL", "jwks_urls[1]: must not hold credentials",
		`algorithms: "HS256"`, `algorithms: "none"`, `quirks: "anything-goes"`, "claims.roles", "claims.tenant_id",
		"service_marks", "user_namespace: \"client:\" begins with a prefix reserved", "keys.refresh", "keys.removed_trust", "keys.max_age",
		"configured twice", "issuers[1] (https://a.example): jwks_urls", "issuers[2]: issuer: required",
		"users_of: \"https://nobody.example\"", "user_namespace: required", "entity_types",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "pw@")
}

func TestParseConfig_Refuses(t *testing.T) {
	t.Parallel()
	issuer := func(name, more string) string {
		return "\n  - {issuer: " + name + ", profile: oidc, jwks_urls: [https://x.example/jwks]" + more + "}"
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"empty":                       {"", "empty"},
		"no issuers":                  {"cache: {}", "at least one"},
		"not YAML":                    {"issuers: [", "parse"},
		"two documents":               {"issuers:" + issuer("a", "") + "\n---\nissuers: []", "one YAML document"},
		"duplicate key":               {"issuers: []\nissuers: []", "already defined"},
		"two issuers, no namespace":   {"issuers:" + issuer("a", "") + issuer("b", ""), "user_namespace: required"},
		"two issuers, one namespace":  {"issuers:" + issuer("a", ", user_namespace: a|") + issuer("b", ""), "issuer b: user_namespace: required"},
		"same namespace":              {"issuers:" + issuer("a", ", user_namespace: a|") + issuer("b", ", user_namespace: a|"), "begins with"},
		"namespace begins another":    {"issuers:" + issuer("a", ", user_namespace: a") + issuer("b", ", user_namespace: ab"), "begins with"},
		"users_of itself":             {"issuers:" + issuer("a", ", users_of: a"), "users_of"},
		"users_of with a namespace":   {"issuers:" + issuer("a", "") + issuer("b", ", users_of: a, user_namespace: b|"), "not together"},
		"users_of of an alias":        {"issuers:" + issuer("a", "") + issuer("b", ", users_of: a") + issuer("c", ", users_of: b"), "itself has users_of"},
		"namespace with control byte": {"issuers:" + issuer("a", `, user_namespace: "a\n"`), "control"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := authn.ParseConfig([]byte(c.yaml))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNew_RefusesUnsafeOptions(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	cfg := authn.Config{Issuers: []authn.IssuerConfig{iss.Config("shadowless")}}
	_, err := authn.New(t.Context(), cfg, authn.Options{})
	require.ErrorContains(t, err, "audiences")
	require.ErrorContains(t, err, "revocations")
	_, err = authn.New(t.Context(), cfg, authn.Options{Audiences: []string{""}, SkipRevocation: true})
	require.ErrorContains(t, err, "audiences")

	cfg.Issuers[0].JWKSURLs = []string{"http://idp.internal/jwks"}
	_, err = authn.New(t.Context(), cfg, authn.Options{Audiences: []string{aud}, SkipRevocation: true})
	require.ErrorContains(t, err, "plain http")
	v, err := authn.New(t.Context(), cfg, authn.Options{Audiences: []string{aud}, SkipRevocation: true, Development: true, Logger: silent})
	require.NoError(t, err)
	v.Close()
}

func TestUsersOf_SharesTheNamespace(t *testing.T) {
	t.Parallel()
	idp, other, sts := authntest.NewIssuer(t), authntest.NewIssuer(t), authntest.NewIssuer(t)
	cfg := sts.Config("shadowless")
	cfg.UsersOf = idp.Name()
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{
		withNamespace(idp.Config("oidc"), "idp|"), withNamespace(other.Config("oidc"), "other|"), cfg,
	}}, authn.Options{Audiences: []string{aud}})
	for iss, want := range map[*authntest.Issuer]string{idp: "idp|7", other: "other|7", sts: "idp|7"} {
		p, err := v.Verify(t.Context(), iss.UserToken("7"))
		require.NoError(t, err)
		require.Equal(t, want, p.UserID())
		require.Equal(t, "7", p.Subject())
	}
}
