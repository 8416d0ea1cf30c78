package conformance_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// tokenEndpoint: the form of requests and answers.
var tokenEndpoint = map[string]check{
	"A20": onlyTLS,
	"A1": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), credentials())
		a.token(t)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.Equal(t, "bearer", strings.ToLower(a.text("token_type")))
		require.IsType(t, float64(0), a.body["expires_in"])
		require.EqualValues(t, 900, a.body["expires_in"])
	},
	"A2": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), credentials())
		a.token(t)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.Equal(t, "no-cache", a.header.Get("Pragma"))
	},
	// answer.refused checks this for every refusal of every statement; here are
	// those that come from other layers than the grants.
	"A3": func(t *testing.T, d *deployment) {
		d.send(t, d.As("orders"), pairs()).refused(t, 400, "invalid_request")
		d.send(t, nil, credentials()).refused(t, 401, "invalid_client")
		d.post(t, d.a.url+"/oauth/token?client_secret=x", nil, credentials()).refused(t, 400, "invalid_request")
		d.send(t, d.As("orders"), credentials("x", strings.Repeat("x", 200<<10))).refused(t, 413, "invalid_request")
		d.do(t, request(t, http.MethodDelete, d.a.url+"/oauth/token", "")).refused(t, 405, "invalid_request")
	},
	"A10": func(t *testing.T, d *deployment) {
		d.send(t, d.As("orders"), pairs()).refused(t, 400, "invalid_request")
		d.send(t, d.As("orders"), pairs("grant_type", "")).refused(t, 400, "invalid_request")
	},
	"A11": func(t *testing.T, d *deployment) {
		for _, grant := range []string{"foo", "password", "authorization_code", "refresh_token", "Client_Credentials", "client_credentials "} {
			d.send(t, d.As("orders"), pairs("grant_type", grant)).refused(t, 400, "unsupported_grant_type")
		}
	},
	"A12": func(t *testing.T, d *deployment) {
		d.send(t, d.As("exchanger"), credentials()).refused(t, 400, "unauthorized_client")
		id, key := d.register(t, api.ClientSpec{GrantTypes: []string{"client_credentials"}})
		d.send(t, basic(id, key.Secret), exchange(d.User("u1"))).refused(t, 400, "unauthorized_client")
	},
	"A13": func(t *testing.T, d *deployment) {
		for _, name := range []string{
			"scope", "grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
			"requested_token_type", "client_id", "client_secret", "client_assertion", "tenant",
		} {
			form := credentials()
			form[name] = []string{"client_credentials", "client_credentials"}
			d.send(t, d.As("orders"), form).refused(t, 400, "invalid_request")
		}
		form := credentials()
		form["audience"] = []string{"orders", "billing"}
		d.send(t, d.As("many"), form).token(t)
	},
	"A14": func(t *testing.T, d *deployment) {
		omitted := d.send(t, d.As("orders"), credentials())
		a := d.send(t, d.As("orders"), credentials("scope", "", "audience", "", "resource", ""))
		a.token(t)
		require.Equal(t, omitted.text("scope"), a.text("scope"))
	},
	"A15": func(t *testing.T, d *deployment) {
		d.send(t, d.As("orders"), credentials("foo", "1", "foo", "2", "Scope", "admin")).token(t)
	},
	"A16": func(t *testing.T, d *deployment) {
		query := credentials("client_id", "orders", "client_secret", d.Keys["orders"]).Encode()
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			for _, to := range []string{"/oauth/token", "/oauth/token?" + query} {
				r := request(t, method, d.a.url+to, "")
				d.As("orders")(r)
				a := d.do(t, r)
				require.Equal(t, http.StatusMethodNotAllowed, a.status)
				require.Equal(t, http.MethodPost, a.header.Get("Allow"))
				require.NotContains(t, a.raw, "access_token")
			}
		}
		for _, mediaType := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
			for _, body := range []string{`{"grant_type":"client_credentials"}`, credentials().Encode()} {
				r := request(t, http.MethodPost, d.a.url+"/oauth/token", body)
				r.Header.Set("Content-Type", mediaType)
				d.As("orders")(r)
				d.do(t, r).refused(t, 400, "invalid_request")
			}
		}
	},
	"A17": func(t *testing.T, d *deployment) {
		const hostile = "\"\\\r\nSet-Cookie: a=b\x00\x7f é \u2028 \xff"
		for _, name := range []string{
			"grant_type", "scope", "audience", "resource", "client_id", "subject_token", "subject_token_type",
			"actor_token", "actor_token_type", "requested_token_type", "tenant", "opaque_token", "client_assertion", "client_assertion_type",
		} {
			form := exchange(d.User("u1"), name, hostile)
			a := d.send(t, d.As("orders"), form)
			a.refused(t, a.status, a.text("error")) // whichever it is: the description is fit
			require.Contains(t, []int{400, 401}, a.status, name)
			require.Empty(t, a.header.Get("Set-Cookie"))
			require.NotContains(t, a.raw, "Set-Cookie", name)
		}
		d.send(t, basic(hostile, hostile), credentials()).refused(t, 401, "invalid_client")
	},
	"A19": func(t *testing.T, d *deployment) {
		d.send(t, d.As("orders"), credentials("x", strings.Repeat("x", 200<<10))).refused(t, 413, "invalid_request")
		form := credentials()
		for range 10_000 {
			form.Add("p", "")
		}
		d.send(t, d.As("orders"), form).refused(t, 400, "invalid_request")

		r := request(t, http.MethodPost, d.a.url+"/oauth/token", credentials().Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Large", strings.Repeat("x", 64<<10))
		d.As("orders")(r)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, d.do(t, r).status)

		// A body without end: the service stops reading long before its sender does.
		endless := &endlessBody{}
		r = request(t, http.MethodPost, d.a.url+"/oauth/token", "")
		r.Body, r.ContentLength = io.NopCloser(endless), -1
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		d.As("orders")(r)
		resp, err := client.Do(r)
		if err == nil { // it may also cut the connection
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		}
		require.Less(t, endless.sent(), int64(16<<20))
		d.send(t, d.As("orders"), credentials()).token(t)
	},
}

// clientAuthentication: who asks.
var clientAuthentication = map[string]check{
	"A4": func(t *testing.T, d *deployment) {
		for _, key := range []string{stranger(t), withSecret(t, d.Keys["orders"]), d.Keys["billing"], d.Keys["orders"] + "x", "x"} {
			a := d.send(t, basic("orders", key), credentials())
			a.refused(t, 401, "invalid_client")
			require.Regexp(t, `^Basic realm="`, a.header.Get("WWW-Authenticate"))
		}
	},
	"A5": func(t *testing.T, d *deployment) {
		for _, key := range []string{stranger(t), withSecret(t, d.Keys["orders"]), d.Keys["billing"]} {
			d.send(t, nil, credentials("client_id", "orders", "client_secret", key)).refused(t, 401, "invalid_client")
		}
		d.send(t, nil, credentials("client_id", "orders", "client_secret", d.Keys["orders"])).token(t)
	},
	"A6": func(t *testing.T, d *deployment) {
		d.send(t, nil, credentials()).refused(t, 401, "invalid_client")
		d.send(t, nil, credentials("client_id", "orders")).refused(t, 401, "invalid_client")
		d.send(t, bearer(d.send(t, d.As("orders"), credentials()).token(t)), credentials()).refused(t, 401, "invalid_client")
		d.send(t, func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }, credentials()).refused(t, 401, "invalid_client")
	},
	"A7": noOracle,
	"A8": func(t *testing.T, d *deployment) {
		d.send(t, d.As("orders"), credentials("client_secret", d.Keys["orders"])).refused(t, 400, "invalid_request")
		d.send(t, d.As("orders"), credentials("client_id", "orders", "client_secret", d.Keys["orders"])).refused(t, 400, "invalid_request")
		d.send(t, d.As("orders"), credentials("client_assertion", "x")).refused(t, 400, "invalid_request")
		twice := func(r *http.Request) {
			d.As("orders")(r)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}
		d.send(t, twice, credentials()).refused(t, 400, "invalid_request")
	},
	"A9": func(t *testing.T, d *deployment) {
		for _, query := range []url.Values{
			pairs("client_id", "orders", "client_secret", d.Keys["orders"]),
			credentials("client_id", "orders", "client_secret", d.Keys["orders"]),
			pairs("api_key", d.Keys["orders"]), pairs("apiKey", d.Keys["orders"]),
		} {
			for _, who := range []authorize{nil, d.As("orders")} {
				d.post(t, d.a.url+"/oauth/token?"+query.Encode(), who, credentials()).refused(t, 400, "invalid_request")
			}
		}
		d.post(t, d.a.url+"/oauth/token?subject_token="+d.User("u1"), d.As("orders"), credentials()).refused(t, 400, "invalid_request")
	},
	"A18": func(t *testing.T, d *deployment) {
		plain := func(user, password string) authorize { return func(r *http.Request) { r.SetBasicAuth(user, password) } }
		d.send(t, plain(escaped("orders"), escaped(d.Keys["orders"])), credentials()).token(t)
		d.send(t, plain("orders%3A", d.Keys["orders"]), credentials()).refused(t, 401, "invalid_client")
		d.send(t, plain("orders", d.Keys["orders"]+"+"), credentials()).refused(t, 401, "invalid_client")
		d.send(t, plain("orders", "%zz"), credentials()).refused(t, 401, "invalid_client")
	},
}
