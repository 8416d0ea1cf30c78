package conformance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const inactive = `{"active":false}`

// endpoint that the metadata names, at a replica.
func (d *deployment) endpoint(t *testing.T, r *replica, member string) string {
	t.Helper()
	a := d.do(t, request(t, http.MethodGet, r.url+"/.well-known/oauth-authorization-server", ""))
	require.Contains(t, a.body, member)
	require.Greater(t, len(a.text(member)), len(d.Issuer))
	return r.url + a.text(member)[len(d.Issuer):]
}

// introspect as a client at the first replica.
func (d *deployment) introspect(t *testing.T, client, token string, extra ...string) answer {
	t.Helper()
	return d.introspectAt(t, d.a, d.As(client), token, extra...)
}

func (d *deployment) introspectAt(t *testing.T, r *replica, who authorize, token string, extra ...string) answer {
	t.Helper()
	return d.post(t, d.endpoint(t, r, "introspection_endpoint"), who, pairs(append([]string{"token", token}, extra...)...))
}

// isInactive is exactly that, and nothing about why.
func (a answer) isInactive(t *testing.T, why string) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s: %s", why, a.raw)
	require.JSONEq(t, inactive, a.raw, why)
	require.Len(t, a.body, 1, why)
}

var introspection = map[string]check{
	"E1": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		for _, who := range []authorize{nil, basic("billing", stranger(t)), basic("billing", ""), bearer("x")} {
			a := d.introspectAt(t, d.a, who, token)
			a.refused(t, 401, "invalid_client")
			require.NotContains(t, a.raw, "active")
			require.NotEmpty(t, a.header.Get("WWW-Authenticate"))
		}
	},
	"E2": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
		for _, r := range []*replica{d.a, d.b} {
			a := d.introspectAt(t, r, d.As("billing"), token)
			require.Equal(t, http.StatusOK, a.status, a.raw)
			require.Equal(t, "application/json", a.header.Get("Content-Type"))
			require.Equal(t, true, a.body["active"], a.raw)
			for _, name := range []string{"exp", "iat", "sub", "client_id", "scope", "jti", "iss", "act"} {
				require.Equal(t, claims(t, token)[name], a.body[name], name)
			}
			require.Equal(t, "billing", first(a.body["aud"]))
		}
	},
	"E3": func(t *testing.T, d *deployment) {
		revoked := d.send(t, d.As("orders"), credentials()).token(t)
		require.Equal(t, http.StatusOK, d.revoke(t, d.a, "orders", revoked).status)
		d.eventually(t, func() bool { return d.introspect(t, "billing", revoked).raw == d.introspect(t, "billing", "x").raw }, "the revocation arrives")
		d.introspect(t, "billing", revoked).isInactive(t, "revoked")
		d.introspect(t, "billing", "garbage").isInactive(t, "garbage")
		d.introspect(t, "billing", authntest.NewIssuer(t).UserToken("u1", authntest.Audience("billing"))).isInactive(t, "foreign")
		d.introspect(t, "billing", d.Keys["orders"]).isInactive(t, "an API key")

		id, key := d.register(t, api.ClientSpec{})
		token := d.send(t, basic(id, key.Secret), credentials()).token(t)
		require.Equal(t, true, d.introspect(t, "billing", token).body["active"])
		d.block(t, id, "under test")
		d.introspect(t, "billing", key.Secret).isInactive(t, "the API key of a blocked client")
		d.eventually(t, func() bool { return d.introspect(t, "billing", token).body["active"] == false }, "a blocked client's token dies")
		d.introspectAt(t, d.a, basic(id, key.Secret), token).refused(t, 401, "invalid_client")

		expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
		short := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ExpiresAt(expires)))).token(t)
		require.Equal(t, true, d.introspect(t, "billing", short).body["active"])
		d.eventually(t, func() bool { return time.Now().After(expires.Add(time.Second)) }, "its time is over")
		d.introspect(t, "billing", short).isInactive(t, "expired")
	},
	"E4": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		require.Equal(t, true, d.introspect(t, "billing", token).body["active"], "it is addressed to billing")
		require.Equal(t, true, d.introspect(t, "orders", token).body["active"], "it is its own")
		for _, client := range []string{"console", "many", "exchanger", "homeless", "widest"} {
			d.introspect(t, client, token).isInactive(t, client)
		}
	},
	"E5": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		plain := d.introspect(t, "billing", token)
		for _, hint := range []string{"access_token", "refresh_token", "api_key", "nonsense", ""} {
			require.Equal(t, plain.raw, d.introspect(t, "billing", token, "token_type_hint", hint).raw, hint)
			d.introspect(t, "billing", "garbage", "token_type_hint", hint).isInactive(t, hint)
		}
	},
	"E6": func(t *testing.T, d *deployment) {
		to := d.endpoint(t, d.a, "introspection_endpoint")
		d.post(t, to, d.As("billing"), pairs()).refused(t, 400, "invalid_request")
		d.post(t, to, d.As("billing"), pairs("token", "")).refused(t, 400, "invalid_request")
		d.post(t, to, d.As("billing"), pairs("token", "a", "token", "b")).refused(t, 400, "invalid_request")
		d.post(t, to+"?token=x", d.As("billing"), pairs()).refused(t, 400, "invalid_request")
	},
	"E7": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		to := d.endpoint(t, d.a, "introspection_endpoint")
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			r := request(t, method, to+"?"+pairs("token", token).Encode(), "")
			d.As("billing")(r)
			a := d.do(t, r, token)
			require.Equal(t, http.StatusMethodNotAllowed, a.status, method)
			require.Equal(t, http.MethodPost, a.header.Get("Allow"))
			require.NotContains(t, a.raw, "active")
		}
	},
	// Nothing may be kept by others, and what is kept inside ends with the token.
	"E8": func(t *testing.T, d *deployment) {
		expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
		token := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ExpiresAt(expires)))).token(t)
		for _, r := range []*replica{d.a, d.b} {
			for range 3 {
				a := d.introspectAt(t, r, d.As("billing"), token)
				require.Equal(t, true, a.body["active"], a.raw)
				require.Equal(t, "no-store", a.header.Get("Cache-Control"))
			}
		}
		d.eventually(t, func() bool { return time.Now().After(expires.Add(time.Second)) }, "its time is over")
		for _, r := range []*replica{d.a, d.b} {
			a := d.introspectAt(t, r, d.As("billing"), token)
			a.isInactive(t, "expired")
			require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		}
	},
}

// first of a list, or the value itself: `aud` may be either.
func first(value any) any {
	if list, ok := value.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return value
}
