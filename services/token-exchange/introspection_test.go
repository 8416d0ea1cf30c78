package tokenexchange_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// post sends a form to any endpoint of the service.
func (w *world) post(t *testing.T, path string, authorize func(*http.Request), form url.Values) answer {
	t.Helper()
	return w.postAt(t, w.Issuer+path, authorize, form)
}

func (w *world) postAt(t *testing.T, endpoint string, authorize func(*http.Request), form url.Values) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorize != nil {
		authorize(req)
	}
	return w.do(req)
}

func (w *world) introspect(t *testing.T, client, token string, extra ...string) answer {
	t.Helper()
	return w.post(t, "/oauth/introspect", w.As(client), pairs(append([]string{"token", token}, extra...)...))
}

func (w *world) revoke(t *testing.T, client, token string, extra ...string) answer {
	t.Helper()
	return w.post(t, "/oauth/revoke", w.As(client), pairs(append([]string{"token", token}, extra...)...))
}

func (a answer) inactive(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.raw)
	require.Equal(t, "{\"active\":false}\n", a.raw)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"), "E8")
}

func (a answer) active(t *testing.T) map[string]any {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.raw)
	require.Equal(t, true, a.body["active"], a.raw)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"), "E8")
	return a.body
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := start(t)
	delegated := w.send(w.As("orders"), exchange(w.User("u1"))).token(t) // for billing
	for name, check := range map[string]func(t *testing.T){
		"E1 nobody asks": func(t *testing.T) {
			w.post(t, "/oauth/introspect", nil, pairs("token", delegated)).refused(t, 401, "invalid_client")
			w.post(t, "/oauth/introspect", basic("billing", w.Keys["orders"]), pairs("token", delegated)).refused(t, 401, "invalid_client")
			w.audited(t, "grant_type = 'introspection' AND reason = 'wrong_client'")
		},
		"E2 what was signed": func(t *testing.T) {
			body := w.introspect(t, "billing", delegated).active(t)
			for name, value := range claimsOf(t, delegated) {
				require.Equal(t, value, body[name], name)
			}
			require.Equal(t, "Bearer", body["token_type"])
			require.Equal(t, map[string]any{"sub": "client:orders", "client_id": "orders"}, body["act"])
			for _, member := range []string{"exp", "iat", "sub", "aud", "client_id", "scope", "jti", "iss"} {
				require.Contains(t, body, member)
			}
		},
		"E3 nothing alive": func(t *testing.T) {
			stranger := authntest.NewIssuer(t)
			for _, token := range []string{
				"garbage", "a.b.c", w.Keys["orders"], stranger.UserToken("u1", authntest.Audience("billing")),
				w.User("u1"), delegated[:len(delegated)-8] + "AAAAAAAA", strings.Repeat("x", 20_000),
			} {
				w.introspect(t, "billing", token).inactive(t)
			}
		},
		"E3 a blocked user": func(t *testing.T) {
			token := w.send(w.As("orders"), exchange(w.User("u-banned"))).token(t)
			w.introspect(t, "billing", token).active(t)
			w.publish(identity.TypeUserBanned, "u-banned", 1, nil)
			require.Eventually(t, func() bool { return w.introspect(t, "billing", token).body["active"] == false }, meshtest.Within, meshtest.Every)
		},
		"E4 a caller that has nothing to do with it": func(t *testing.T) {
			w.introspect(t, "console", delegated).inactive(t)
			w.introspect(t, "orders", delegated).active(t) // it fetched the token
			admin := w.admin(t)
			_, err := admin.CreateClient(t.Context(), api.ClientSpec{ID: "gateway", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{api.IntrospectScope}}}})
			require.NoError(t, err)
			key, err := admin.CreateKey(t.Context(), "gateway", api.NewKey{})
			require.NoError(t, err)
			w.post(t, "/oauth/introspect", basic("gateway", key.Secret), pairs("token", delegated)).active(t)
		},
		"E5 a wrong hint": func(t *testing.T) {
			w.introspect(t, "billing", delegated, "token_type_hint", "refresh_token").active(t)
			w.introspect(t, "billing", delegated, "token_type_hint", "nonsense").active(t)
		},
		"E6 no token": func(t *testing.T) {
			w.introspect(t, "billing", "").refused(t, 400, "invalid_request")
		},
		"E7 other methods": func(t *testing.T) {
			for _, path := range []string{"/oauth/introspect", "/oauth/revoke"} {
				a := w.get(t, path)
				a.refused(t, 405, "invalid_request")
				require.Equal(t, "POST", a.header.Get("Allow"))
			}
		},
		"A8 A9 A13 hold here too": func(t *testing.T) {
			form := pairs("token", delegated)
			form.Add("token", delegated)
			w.post(t, "/oauth/introspect", w.As("billing"), form).refused(t, 400, "invalid_request")
			w.post(t, "/oauth/introspect?token=x", w.As("billing"), pairs("token", delegated)).refused(t, 400, "invalid_request")
			w.post(t, "/oauth/revoke", w.As("billing"), pairs("token", delegated, "client_secret", w.Keys["billing"])).refused(t, 400, "invalid_request")
		},
		"C24 an exchange changes nothing about its subject token": func(t *testing.T) {
			first := w.send(w.As("orders"), exchange(w.User("u1"))).token(t)
			w.send(w.As("billing"), exchange(first, "audience", "orders")).token(t)
			w.introspect(t, "billing", first).active(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, check := range map[string]func(t *testing.T){
		"F1 a token of one's own": func(t *testing.T) {
			token := w.send(w.As("many"), credentials()).token(t)
			w.introspect(t, "many", token).active(t)
			require.Equal(t, 200, w.revoke(t, "many", token).status)
			w.introspect(t, "many", token).inactive(t) // here at once
			require.Equal(t, 200, w.revoke(t, "many", token).status, "F2 again")
			w.mirrored(t, authn.RevokedToken, claimsOf(t, token)["jti"].(string))
		},
		"F1 a chain of three dies with its first": func(t *testing.T) {
			first := w.send(w.As("orders"), exchange(w.User("u1"))).token(t)
			second := w.send(w.As("billing"), exchange(first, "audience", "orders")).token(t)
			third := w.send(w.As("orders"), exchange(second, "audience", "billing")).token(t)
			require.Equal(t, 200, w.revoke(t, "orders", first).status)
			w.introspect(t, "orders", second).inactive(t)
			w.introspect(t, "billing", third).inactive(t)
			w.send(w.As("orders"), exchange(second, "audience", "billing")).refused(t, 400, "invalid_request")
		},
		"F2 what is no token": func(t *testing.T) {
			for _, token := range []string{"garbage", "a.b.c", authntest.NewIssuer(t).UserToken("u1", authntest.Audience("orders"))} {
				require.Equal(t, 200, w.revoke(t, "orders", token).status)
			}
		},
		"F3 an unknown hint": func(t *testing.T) {
			token := w.send(w.As("many"), credentials()).token(t)
			require.Equal(t, 200, w.revoke(t, "many", token, "token_type_hint", "nonsense").status)
			w.introspect(t, "many", token).inactive(t)
		},
		"F4 bad credentials": func(t *testing.T) {
			w.post(t, "/oauth/revoke", basic("orders", w.Keys["many"]), pairs("token", "x")).refused(t, 401, "invalid_client")
			w.post(t, "/oauth/revoke", nil, pairs("token", "x")).refused(t, 401, "invalid_client")
			w.revoke(t, "orders", "").refused(t, 400, "invalid_request")
		},
		"F5 another's token": func(t *testing.T) {
			token := w.send(w.As("orders"), exchange(w.User("u1"))).token(t)
			w.revoke(t, "billing", token).refused(t, 400, "unauthorized_client")
			w.introspect(t, "billing", token).active(t)
		},
		"F6 a token that only its issuer can end": func(t *testing.T) {
			w.revoke(t, "orders", w.User("u1")).refused(t, 400, "unsupported_token_type")
		},
		"F8 a key by its holder": func(t *testing.T) {
			key, err := w.admin(t).CreateKey(t.Context(), "many", api.NewKey{})
			require.NoError(t, err)
			w.send(basic("many", key.Secret), credentials()).token(t)
			require.Equal(t, 200, w.post(t, "/oauth/revoke", basic("many", key.Secret), pairs("token", key.Secret)).status)
			w.send(basic("many", key.Secret), credentials()).refused(t, 401, "invalid_client")
			found, err := w.admin(t).CreateKey(t.Context(), "many", api.NewKey{})
			require.NoError(t, err)
			require.Equal(t, 200, w.post(t, "/oauth/revoke", nil, pairs("token", found.Secret)).status, "whoever found it is no client")
			w.send(basic("many", found.Secret), credentials()).refused(t, 401, "invalid_client")
			require.Equal(t, 200, w.post(t, "/oauth/revoke", nil, pairs("token", found.Secret)).status, "again")
			unknown, err := api.GenerateKey("test")
			require.NoError(t, err)
			require.Equal(t, 200, w.post(t, "/oauth/revoke", nil, pairs("token", unknown.Reveal())).status, "F2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}

func TestRevocation_F7_NoRowNoRevocation(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.send(w.As("many"), credentials()).token(t)
	_, err := w.Database.Owner.Exec(t.Context(), "ALTER TABLE revocations RENAME TO gone")
	require.NoError(t, err)
	a := w.revoke(t, "many", token)
	a.refused(t, 503, "temporarily_unavailable")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	w.introspect(t, "many", token).active(t)
}

func TestIntrospection_StaleKnowledgeIsNoYes(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *configuration) { c.MaxStaleness = time.Millisecond }))
	token := w.send(w.As("many"), credentials()).token(t)
	w.introspect(t, "many", token).active(t) // no user can have been cut off
	w.introspect(t, "many", "garbage").inactive(t)
}
