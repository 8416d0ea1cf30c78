package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

const wellKnown = "/.well-known/oauth-authorization-server"

var metadata = map[string]check{
	"G1": func(t *testing.T, d *deployment) {
		a := d.do(t, request(t, http.MethodGet, d.a.url+wellKnown, ""))
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		for _, token := range d.everyKind(t) {
			require.Equal(t, a.text("issuer"), claims(t, token)["iss"])
		}
		require.Equal(t, d.Issuer, a.text("issuer"))
	},
	"G2": func(t *testing.T, _ *deployment) {
		d := prepare(t, func(c *tokenexchange.Config) { c.Issuer += "/tenant/sts" })
		d.a = d.start()
		a := d.do(t, request(t, http.MethodGet, d.a.url+wellKnown+"/tenant/sts", ""))
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, d.Issuer+"/tenant/sts", a.text("issuer"))
		require.Equal(t, d.Issuer+"/tenant/sts/oauth/token", a.text("token_endpoint"))
		require.Equal(t, a.text("issuer"), claims(t, d.send(t, d.As("orders"), credentials()).token(t))["iss"])
		for _, wrong := range []string{wellKnown, "/tenant/sts" + wellKnown, wellKnown + "/tenant", wellKnown + "/other"} {
			require.Equal(t, http.StatusNotFound, d.do(t, request(t, http.MethodGet, d.a.url+wrong, "")).status, wrong)
		}
	},
	"G3": func(t *testing.T, d *deployment) {
		a := d.do(t, request(t, http.MethodGet, d.a.url+wellKnown, ""))
		for _, name := range []string{"token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"} {
			require.True(t, strings.HasPrefix(a.text(name), d.Issuer+"/"), name)
		}
		require.Subset(t, a.body["grant_types_supported"], []any{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"})
		require.Subset(t, a.body["token_endpoint_auth_methods_supported"], []any{"client_secret_basic", "client_secret_post"})
		// There is no authorization endpoint and so no response type: the member
		// that would have no element is left out.
		require.NotContains(t, a.body, "response_types_supported")
		for name, value := range a.body {
			if list, ok := value.([]any); ok {
				require.NotEmpty(t, list, name)
			}
		}
		// What it names is there.
		for _, name := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
			d.post(t, d.endpoint(t, d.a, name), nil, pairs("grant_type", "client_credentials", "token", "x")).refused(t, 401, "invalid_client")
		}
		require.Equal(t, http.StatusOK, d.do(t, request(t, http.MethodGet, d.endpoint(t, d.a, "jwks_uri"), "")).status)
	},
	"G4": func(t *testing.T, d *deployment) {
		a := d.do(t, request(t, http.MethodGet, d.a.url+wellKnown, ""))
		for name, value := range a.body {
			if strings.HasSuffix(name, "_signing_alg_values_supported") {
				require.NotContains(t, value, "none", name)
				require.NotContains(t, value, "HS256", name)
			}
		}
		require.NotContains(t, a.raw, `"none"`)
	},
	"G5": func(t *testing.T, d *deployment) {
		a := d.do(t, request(t, http.MethodGet, d.a.url+"/.well-known/jwks.json", ""))
		require.Equal(t, http.StatusOK, a.status)
		keys, ok := a.body["keys"].([]any)
		require.True(t, ok, a.raw)
		require.NotEmpty(t, keys)
		kids := map[any]bool{}
		for _, k := range keys {
			key, ok := k.(map[string]any)
			require.True(t, ok)
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				require.NotContains(t, key, private)
			}
			require.Equal(t, "sig", key["use"])
			require.NotEmpty(t, key["alg"])
			require.NotEmpty(t, key["kid"])
			require.False(t, kids[key["kid"]])
			kids[key["kid"]] = true
		}
	},
}
