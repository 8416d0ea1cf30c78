package conformance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// published is the bound within which a revocation or block reaches every replica.
const published = time.Second

// attempts that a bound is measured in: what is held is the system's time, and
// the machine that runs the tests may be busy with another one's.
const attempts = 5

// revoke as a client.
func (d *deployment) revoke(t *testing.T, r *replica, client, token string, extra ...string) answer {
	t.Helper()
	return d.post(t, d.endpoint(t, r, "revocation_endpoint"), d.As(client), pairs(append([]string{"token", token}, extra...)...))
}

// within measures do until holds, and wants one of the attempts within the bound.
func (d *deployment) within(t *testing.T, bound time.Duration, do func() (holds func() bool)) {
	t.Helper()
	best := time.Hour
	for range attempts {
		holds := do()
		start := time.Now()
		d.eventually(t, holds, "it arrives")
		if best = min(best, time.Since(start)); best <= bound {
			return
		}
	}
	require.LessOrEqual(t, best, bound)
}

var revocation = map[string]check{
	"F1": func(t *testing.T, d *deployment) {
		d.within(t, published, func() func() bool {
			token := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
			require.Equal(t, true, d.introspectAt(t, d.b, d.As("billing"), token).body["active"])
			a := d.revoke(t, d.a, "orders", token)
			require.Equal(t, http.StatusOK, a.status, a.raw)
			return func() bool {
				return d.introspectAt(t, d.a, d.As("billing"), token).body["active"] == false &&
					d.introspectAt(t, d.b, d.As("billing"), token).body["active"] == false
			}
		})
	},
	"F2": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		for range 2 {
			require.Equal(t, http.StatusOK, d.revoke(t, d.a, "orders", token).status)
		}
		for _, unknown := range []string{"garbage", "a.b.c", token[:len(token)-8] + "AAAAAAAA", stranger(t), "sl_test_x"} {
			a := d.revoke(t, d.a, "orders", unknown)
			require.Equal(t, http.StatusOK, a.status, a.raw)
		}
	},
	"F3": func(t *testing.T, d *deployment) {
		for _, hint := range []string{"nonsense", "refresh_token", "id_token", ""} {
			token := d.send(t, d.As("orders"), credentials()).token(t)
			require.Equal(t, http.StatusOK, d.revoke(t, d.a, "orders", token, "token_type_hint", hint).status)
			d.eventually(t, func() bool { return d.introspect(t, "billing", token).body["active"] == false }, hint)
		}
	},
	"F4": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		to := d.endpoint(t, d.a, "revocation_endpoint")
		for _, who := range []authorize{nil, basic("orders", stranger(t)), basic("orders", withSecret(t, d.Keys["orders"])), bearer(token)} {
			d.post(t, to, who, pairs("token", token)).refused(t, 401, "invalid_client")
		}
		require.Equal(t, true, d.introspect(t, "billing", token).body["active"])
	},
	"F5": func(t *testing.T, d *deployment) {
		token := d.send(t, d.As("orders"), credentials()).token(t)
		for _, client := range []string{"billing", "many"} {
			a := d.revoke(t, d.a, client, token)
			a.refused(t, a.status, a.text("error"))
			require.Equal(t, http.StatusBadRequest, a.status, a.raw)
		}
		require.Equal(t, true, d.introspect(t, "billing", token).body["active"])
		require.Equal(t, true, d.introspectAt(t, d.b, d.As("billing"), token).body["active"])
	},
	"F6": func(t *testing.T, d *deployment) {
		// The provider's own: only the provider can end it.
		d.revoke(t, d.a, "orders", d.User("u1")).refused(t, 400, "unsupported_token_type")
		id := d.IdP.Sign(map[string]any{
			"iss": d.IdP.Name(), "sub": "u1", "aud": "console-web", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}, authntest.Header("typ", "JWT"))
		d.revoke(t, d.a, "console", id).refused(t, 400, "unsupported_token_type")
	},
	"F7": func(t *testing.T, d *deployment) {
		between := newWire(t, d.Database.URL)
		r := d.start(func(c *tokenexchange.Config) { c.DatabaseURLFile = d.File("database", between.url+"\n") })
		token := d.post(t, r.url+"/oauth/token", d.As("orders"), credentials()).token(t)
		to := d.endpoint(t, r, "revocation_endpoint")
		between.cut()
		a := d.post(t, to, d.As("orders"), pairs("token", token))
		a.refused(t, 503, "temporarily_unavailable")
		require.NotEmpty(t, a.header.Get("Retry-After"))
		require.Equal(t, true, d.introspect(t, "billing", token).body["active"])
		between.mend()
		d.eventually(t, func() bool { return d.post(t, to, d.As("orders"), pairs("token", token)).status == http.StatusOK }, "the store is back")
	},
	"F8": func(t *testing.T, d *deployment) {
		id, key := d.register(t, api.ClientSpec{})
		d.send(t, basic(id, key.Secret), credentials()).token(t)
		a := d.selfRevoke(t, key.Secret)
		require.Less(t, a.status, 300, a.raw)
		for _, r := range []*replica{d.a, d.b} {
			d.post(t, r.url+"/oauth/token", basic(id, key.Secret), credentials()).refused(t, 401, "invalid_client")
		}
	},
}
