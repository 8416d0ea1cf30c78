package tokenexchange_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestDelegation(t *testing.T) {
	t.Parallel()
	w := start(t)
	stranger := authntest.NewIssuer(t)
	refuse := func(name, subject string, extra ...string) func(t *testing.T) {
		return func(t *testing.T) {
			w.send(w.As("orders"), exchange(subject, extra...)).refused(t, 400, name)
		}
	}
	unsigned := func() string {
		parts := strings.Split(w.User("u1"), ".")
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
		return header + "." + parts[1] + "."
	}
	for name, check := range map[string]func(t *testing.T){
		"C1 C15 a delegated token": func(t *testing.T) {
			subject := w.User("auth0|5f7c u1")
			a := w.send(w.As("orders"), exchange(subject, "audience", "billing"))
			p := w.verify(a.token(t), "billing")
			require.Equal(t, "urn:ietf:params:oauth:token-type:access_token", a.body["issued_token_type"])
			require.Equal(t, "Bearer", a.body["token_type"])
			require.NotContains(t, a.body, "refresh_token", "C20")
			require.Equal(t, createInvoices, a.body["scope"], "C2")
			require.Equal(t, authn.KindUser, p.Kind())
			require.Equal(t, "auth0|5f7c u1", p.UserID())
			require.Equal(t, "client:orders", p.Actor().Subject())
			require.Equal(t, "orders", p.Actor().ClientID())
			require.Nil(t, p.Actor().Actor())
			require.Equal(t, "orders", p.ClientID())
			require.Equal(t, []string{"billing"}, p.Audiences())
			require.Equal(t, []string{createInvoices}, p.Scopes(), "the client's delegable scopes; openid is not ours")
			before := claimsOf(t, subject)
			after := claimsOf(t, a.token(t))
			for _, kept := range []string{"sid", "auth_time", "tenant_id", "acr"} {
				require.Equal(t, before[kept], after[kept], kept)
			}
			require.Equal(t, []any{before["jti"]}, after["ancestors"])
			require.Equal(t, before["auth_time"], after["orig_iat"])
			require.NotContains(t, after, "may_act")
		},
		"only the audience's entity types": func(t *testing.T) {
			p := w.verify(w.send(w.As("orders"), exchange(w.User("u1"))).token(t), "billing")
			require.Equal(t, map[string][]string{"client_shop:invoice": {"pay", "read", "refund"}, "client_shop:invoice:i-1": {"void"}}, p.Permissions())
			require.Equal(t, map[string][]string{"client_shop:invoice": {"refund"}}, p.ABACRequired())
			require.Equal(t, authn.Allow, p.Can("invoice", "", "read"))
			require.Equal(t, authn.Ask, p.Can("invoice", "", "refund"))
			require.Equal(t, authn.Deny, p.Can("order", "", "read"))
		},
		"a token without permissions gets the configured ones": func(t *testing.T) {
			p := w.verify(w.send(w.As("orders"), exchange(w.User("u1", authntest.Claim("permissions", nil), authntest.Claim("abac_required", nil), authntest.Tenant(""), authntest.Claim("tenant_id", nil)))).token(t), "billing")
			require.Equal(t, map[string][]string{"client_shop:invoice": {"pay", "read", "refund"}}, p.Permissions())
			require.Equal(t, map[string][]string{"client_shop:invoice": {"refund"}}, p.ABACRequired())
			require.Equal(t, "acme", p.TenantID())
		},
		"C3 no subject token or type": func(t *testing.T) {
			refuse("invalid_request", "")(t)
			refuse("invalid_request", w.User("u1"), "subject_token_type", "")(t)
			refuse("invalid_request", w.User("u1"), "subject_token_type", "urn:x")(t)
		},
		"C4 C5 C7 an actor token": func(t *testing.T) {
			refuse("invalid_request", w.User("u1"), "actor_token", "x")(t)
			refuse("invalid_request", w.User("u1"), "actor_token_type", authn.TokenTypeAccessToken)(t)
			refuse("invalid_request", w.User("u1"), "actor_token", w.User("u2"), "actor_token_type", authn.TokenTypeAccessToken)(t)
		},
		"C6 expired":        refuse("invalid_request", w.User("u1", authntest.IssuedAt(time.Now().Add(-time.Hour)))),
		"C6 bad signature":  refuse("invalid_request", w.User("u1", authntest.SignedBy(authntest.NewKey(t, "RS256", "key-1")))),
		"C6 alg none":       refuse("invalid_request", unsigned()),
		"C6 unknown issuer": refuse("invalid_request", stranger.UserToken("u1", authntest.Audience("orders"))),
		"C6 wrong typ":      refuse("invalid_request", w.User("u1", authntest.Header("typ", "JWT"))),
		"C6 garbage":        refuse("invalid_request", "x.y.z"),
		"C6 revoked": func(t *testing.T) {
			token := w.User("u-revoked", authntest.ID("dead"))
			w.Revoke(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, "dead")})
			require.Eventually(t, func() bool { return w.send(w.As("orders"), exchange(token)).status == 400 }, meshtest.Within, meshtest.Every)
			refuse("invalid_request", token)(t)
		},
		"C8 a foreign audience":   refuse("invalid_target", w.User("u1"), "audience", "console"),
		"C9 a relative resource":  refuse("invalid_target", w.User("u1"), "resource", "orders"),
		"C9 a resource fragment":  refuse("invalid_target", w.User("u1"), "resource", "https://orders.example#x"),
		"C9 an empty fragment":    refuse("invalid_target", w.User("u1"), "resource", "https://orders.example#"),
		"C11 requested type":      refuse("invalid_request", w.User("u1"), "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
		"C13 a wider scope":       refuse("invalid_scope", w.User("u1"), "scope", createInvoices+" billing:read"),
		"C14 not addressed to us": refuse("invalid_request", w.User("u1", authntest.Audience("billing"))),
		"a service's token is no user's": func(t *testing.T) {
			own := w.send(w.As("many"), credentials()).token(t)
			refuse("invalid_request", own)(t)
		},
		"C10 two audiences": func(t *testing.T) {
			form := exchange(w.User("u1"))
			form["audience"] = []string{"orders", "console", "orders"}
			p := w.verify(w.send(w.As("billing"), form).token(t), "console")
			require.Equal(t, []string{"orders", "console"}, p.Audiences())
			require.Empty(t, p.Scopes())
		},
		"C11 an access token or a JWT": func(t *testing.T) {
			for _, kind := range []string{"access_token", "jwt"} {
				a := w.send(w.As("orders"), exchange(w.User("u1"), "requested_token_type", "urn:ietf:params:oauth:token-type:"+kind, "subject_token_type", "urn:ietf:params:oauth:token-type:"+kind))
				a.token(t)
				require.Equal(t, "Bearer", a.body["token_type"])
			}
		},
		"C16 a chain nests and ends": func(t *testing.T) {
			first := w.send(w.As("orders"), exchange(w.User("u1"))).token(t)
			second := w.send(w.As("billing"), exchange(first, "audience", "orders")).token(t)
			p := w.verify(second, "orders")
			require.Equal(t, "billing", p.Actor().ClientID())
			require.Equal(t, "orders", p.Actor().Actor().ClientID())
			require.Len(t, p.Ancestors(), 2)
			require.Equal(t, []string{createInvoices}, p.Scopes(), "C13: within the parent's scopes")
			require.Equal(t, claimsOf(t, first)["orig_iat"], claimsOf(t, second)["orig_iat"])
			third := w.send(w.As("orders"), exchange(second, "audience", "billing")).token(t)
			require.Len(t, w.verify(third, "billing").Ancestors(), 3)
			w.send(w.As("billing"), exchange(third, "audience", "orders")).refused(t, 400, "invalid_request")
			w.send(w.As("billing"), exchange(first, "audience", "orders", "scope", "orders:read")).refused(t, 400, "invalid_scope")
		},
		"C17 C18 may_act": func(t *testing.T) {
			for _, named := range []any{map[string]any{"sub": "client:billing"}, map[string]any{"sub": "client:orders", "client_id": "billing"}, map[string]any{"sub": "someone"}, map[string]any{"sub": "orders"}, map[string]any{}, "orders", []any{}} {
				refuse("invalid_request", w.User("u1", authntest.Claim("may_act", named)))(t)
			}
			allowed := w.User("u1", authntest.Claim("may_act", map[string]any{"sub": "client:orders"}))
			token := w.send(w.As("orders"), exchange(allowed)).token(t)
			require.Contains(t, claimsOf(t, token), "may_act", "the restriction goes along")
			w.send(w.As("billing"), exchange(token, "audience", "orders")).refused(t, 400, "invalid_request")
		},
		"C19 never longer than the subject token": func(t *testing.T) {
			expires := time.Now().Add(2 * time.Minute).Truncate(time.Second)
			a := w.send(w.As("orders"), exchange(w.User("u1", authntest.ExpiresAt(expires))))
			require.Equal(t, expires, w.verify(a.token(t), "billing").ExpiresAt())
			require.LessOrEqual(t, a.body["expires_in"], float64(120))
			long := w.send(w.As("orders"), exchange(w.User("u1", authntest.ExpiresAt(time.Now().Add(48*time.Hour)))))
			require.EqualValues(t, 900, long.body["expires_in"])
			refuse("invalid_request", w.User("u1", authntest.ExpiresAt(time.Now().Add(-10*time.Second))))(t)
		},
		"C21 a revoked token's descendant": func(t *testing.T) {
			first := w.send(w.As("orders"), exchange(w.User("u1", authntest.ID("parent")))).token(t)
			w.Revoke(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, "parent")})
			require.Eventually(t, func() bool {
				return w.send(w.As("billing"), exchange(first, "audience", "orders")).status == 400
			}, meshtest.Within, meshtest.Every)
		},
		"C22 a bound token": refuse("invalid_request", w.User("u1", authntest.Claim("cnf", map[string]any{"jkt": "x"}))),
		"C23 an id_token": func(t *testing.T) {
			w.send(w.As("orders"), exchange(w.User("u1"), "subject_token_type", idToken)).refused(t, 400, "unauthorized_client")
		},
		"C24 the subject token lives on": func(t *testing.T) {
			subject := w.User("u1")
			w.send(w.As("orders"), exchange(subject)).token(t)
			w.send(w.As("orders"), exchange(subject)).token(t)
		},
		"another tenant": func(t *testing.T) {
			refuse("invalid_request", w.User("u1"), "tenant", "other")(t)
			require.Equal(t, "acme", w.verify(w.send(w.As("orders"), exchange(w.User("u1"), "tenant", "acme")).token(t), "billing").TenantID())
		},
		"an opaque token":        refuse("invalid_request", "WQEGYZhQImInNBnwSqAxzWvweQMbTPnj"),
		"an opaque token beside": refuse("invalid_request", w.User("u1"), "opaque_token", "x"),
		"a reserved subject":     refuse("invalid_request", w.User("client:orders")),
		"works with pkg/authn": func(t *testing.T) {
			d, err := authn.NewDelegator(authn.DelegatorConfig{TokenURL: w.Issuer + "/oauth/token", ClientID: "orders", APIKeyFile: w.File("k", w.Keys["orders"])})
			require.NoError(t, err)
			defer d.Close()
			token, err := d.OnBehalfOf(t.Context(), w.verify(w.User("u1"), "orders"), "billing", createInvoices)
			require.NoError(t, err)
			require.Equal(t, "u1", w.verify(token.AccessToken, "billing").UserID())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}

const idToken = "urn:ietf:params:oauth:token-type:id_token"

func TestDelegation_StaleRevocationsAreNoGuess(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *configuration) { c.MaxStaleness = time.Millisecond }))
	a := w.send(w.As("orders"), exchange(w.User("u1")))
	a.refused(t, 503, "temporarily_unavailable")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	w.send(w.As("orders"), credentials()).token(t)
}

func TestServiceTokens_GoOnWithoutNATS(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.Broker.Stop()
	defer w.Broker.Start()
	w.send(w.As("orders"), credentials()).token(t)
}
