package tokenexchange_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

type configuration = tokenexchange.Config

// idTokenOf signs what Auther's build sends: no typ, sid, jti or auth_time, iat
// in milliseconds, and the user's profile, which must not go on.
func (w *world) idTokenOf(sub string, options ...authntest.TokenOption) string {
	now := time.Now()
	return w.Users.Sign(map[string]any{
		"iss": w.Users.Name(), "sub": sub, "aud": "console-web", "iat": now.UnixMilli(), "exp": now.Add(48 * time.Hour).Unix(),
		"acr": "urn:mace:incommon:iap:silver", "name": "Alice Anders", "email": "alice@example.com", "nonce": "n",
	}, append([]authntest.TokenOption{authntest.Header("typ", nil)}, options...)...)
}

func frontDoor(subject string, extra ...string) map[string][]string {
	form := exchange(subject, "subject_token_type", idToken)
	form["audience"] = []string{"orders", "billing"}
	maps.Copy(form, pairs(extra...))
	return form
}

func TestFrontDoor_Observed(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	w.userinfo.set("opaque-of-u1", "u1")
	w.userinfo.set("opaque-of-u2", "u2")
	refuse := func(code, subject string, extra ...string) func(t *testing.T) {
		return func(t *testing.T) {
			w.send(w.As("console"), frontDoor(subject, extra...)).refused(t, 400, code)
		}
	}
	for name, check := range map[string]func(t *testing.T){
		"a mesh token of the user": func(t *testing.T) {
			subject := w.idTokenOf("u1")
			a := w.send(w.As("console"), frontDoor(subject))
			p := w.verify(a.token(t), "billing")
			require.Equal(t, authn.KindUser, p.Kind())
			require.Equal(t, "u1", p.UserID())
			require.Nil(t, p.Actor())
			require.Equal(t, "console", p.ClientID())
			require.Equal(t, []string{"orders", "billing"}, p.Audiences())
			require.Equal(t, "acme", p.TenantID())
			require.Empty(t, p.Scopes())
			require.Equal(t, authn.Allow, p.Can("order", "", "place"))
			require.Equal(t, authn.Ask, p.Can("invoice", "", "refund"))
			require.Equal(t, authn.Deny, p.Can("order", "", "list_any"))
			require.NotEmpty(t, p.SessionID())
			require.Len(t, p.Ancestors(), 1)
			require.EqualValues(t, 900, a.body["expires_in"])
			claims := claimsOf(t, a.token(t))
			for _, profile := range []string{"name", "email", "nonce"} {
				require.NotContains(t, claims, profile)
			}
			again := w.verify(w.send(w.As("console"), frontDoor(subject, "sid", p.SessionID())).token(t), "billing")
			require.NotEqual(t, p.SessionID(), again.SessionID(), "a session is new each time and nobody's choice")
		},
		"its token is delegated on": func(t *testing.T) {
			first := w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t)
			second := w.send(w.As("orders"), exchange(first, "audience", "billing", "scope", createInvoices)).token(t)
			p := w.verify(second, "billing")
			require.Equal(t, "orders", p.Actor().ClientID())
			require.True(t, p.HasScope(createInvoices))
			require.Equal(t, w.verify(first, "orders").SessionID(), p.SessionID())
			require.Len(t, p.Ancestors(), 2)
		},
		"a scope that it asked for bounds what follows": func(t *testing.T) {
			first := w.send(w.As("console"), frontDoor(w.idTokenOf("u1"), "scope", "narrow")).token(t)
			w.send(w.As("orders"), exchange(first, "scope", createInvoices)).refused(t, 400, "invalid_scope")
		},
		"the opaque token of the same user": func(t *testing.T) {
			w.send(w.As("console"), frontDoor(w.idTokenOf("u1"), "opaque_token", "opaque-of-u1")).token(t)
		},
		"the opaque token of another user": refuse("invalid_request", w.idTokenOf("u1"), "opaque_token", "opaque-of-u2"),
		"an unknown opaque token":          refuse("invalid_request", w.idTokenOf("u1"), "opaque_token", "other"),
		"an opaque token with a line":      refuse("invalid_request", w.idTokenOf("u1"), "opaque_token", "a\r\nb"),
		"an opaque token alone": func(t *testing.T) {
			w.send(w.As("console"), exchange("opaque-of-u1", "audience", "orders")).refused(t, 400, "invalid_request")
		},
		"C23 an id_token of another client": refuse("invalid_request", w.idTokenOf("u1", authntest.Audience("payload-spa-client"))),
		"a client that is no front door": func(t *testing.T) {
			w.send(w.As("orders"), frontDoor(w.idTokenOf("u1"))).refused(t, 400, "unauthorized_client")
		},
		"an id_token as an access token": func(t *testing.T) {
			subject := w.idTokenOf("u1", authntest.Audience("console", "orders"))
			w.send(w.As("console"), exchange(subject, "audience", "orders")).refused(t, 400, "invalid_request")
			w.send(w.As("orders"), exchange(subject)).refused(t, 400, "invalid_request")
		},
		"an API key's token": refuse("invalid_request", w.idTokenOf("u1", authntest.Claim("scope", "api_key_exchange"), authntest.Claim("apiKeyId", "k1"))),
		"expired":            refuse("invalid_request", w.idTokenOf("u1", authntest.ExpiresAt(time.Now().Add(-time.Hour)))),
		"our own token": func(t *testing.T) {
			refuse("invalid_request", w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t))(t)
		},
		"an audience beyond": refuse("invalid_target", w.idTokenOf("u1"), "audience", "console"),
		"another tenant":     refuse("invalid_request", w.idTokenOf("u1"), "tenant", "other"),
		"a wider scope":      refuse("invalid_scope", w.idTokenOf("u1"), "scope", createInvoices),
		"may_act of another": refuse("invalid_request", w.idTokenOf("u1", authntest.Claim("may_act", map[string]any{"sub": "client:orders"}))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}

func TestFrontDoor_UserinfoDownIsNoRefusal(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	w.userinfo.setDown(true)
	w.send(w.As("console"), frontDoor(w.idTokenOf("u1"), "opaque_token", "x")).refused(t, 503, "temporarily_unavailable")
	w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t)
}

func TestFrontDoor_WithoutUserinfoNoOpaqueToken(t *testing.T) {
	t.Parallel()
	w := start(t, observed, with(func(c *configuration) { c.UserinfoURL = "" }))
	w.send(w.As("console"), frontDoor(w.idTokenOf("u1"), "opaque_token", "x")).refused(t, 400, "invalid_request")
}

func TestFrontDoor_Promised(t *testing.T) {
	t.Parallel()
	w := start(t, promisedIDTokens)
	promised := func(options ...authntest.TokenOption) string {
		return w.User("u1", append([]authntest.TokenOption{
			authntest.Header("typ", "JWT"), authntest.Audience("console-web"), authntest.Claim("jti", nil), authntest.Tenant("globex"),
		}, options...)...)
	}
	p := w.verify(w.send(w.As("console"), frontDoor(promised())).token(t), "orders")
	require.Equal(t, "globex", p.TenantID())
	require.Equal(t, authn.Allow, p.Can("order", "", "cancel"))
	require.Equal(t, map[string][]string{"client_shop:invoice": {"refund"}}, p.ABACRequired())
	require.False(t, p.AuthTime().IsZero())
	require.Equal(t, p.AuthTime(), p.OriginallyIssuedAt())

	// The provider's access token is no sign-in, whatever its audience.
	w.send(w.As("console"), frontDoor(promised(authntest.Header("typ", "at+jwt")))).refused(t, 400, "invalid_request")
	w.send(w.As("console"), exchange(promised(authntest.Audience("console")), "audience", "orders")).refused(t, 400, "invalid_request")
}

func TestFrontDoor_GoesOnWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	w.Users.Down()
	w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t)
}
