package tokenexchange_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := start(t)
	stranger, err := api.GenerateKey("test")
	require.NoError(t, err)

	for name, check := range map[string]func(t *testing.T){
		"A1 a token for a good key": func(t *testing.T) {
			a := w.send(w.As("orders"), credentials())
			a.token(t)
			require.Equal(t, "application/json", a.header.Get("Content-Type"))
			require.Equal(t, "Bearer", a.body["token_type"])
			require.EqualValues(t, 900, a.body["expires_in"])
			require.NotContains(t, a.body, "refresh_token", "B1")
		},
		"A2 never cached": func(t *testing.T) {
			a := w.send(w.As("orders"), credentials())
			require.Equal(t, "no-store", a.header.Get("Cache-Control"))
			require.Equal(t, "no-cache", a.header.Get("Pragma"))
		},
		"A4 wrong key by Basic": func(t *testing.T) {
			w.send(basic("orders", stranger.Reveal()), credentials()).refused(t, 401, "invalid_client")
		},
		"A5 wrong key by post": func(t *testing.T) {
			w.send(nil, credentials("client_id", "orders", "client_secret", stranger.Reveal())).refused(t, 401, "invalid_client")
		},
		"A5 good key by post": func(t *testing.T) {
			w.send(nil, credentials("client_id", "orders", "client_secret", w.Keys["orders"])).token(t)
		},
		"A6 no credential": func(t *testing.T) {
			w.send(nil, credentials()).refused(t, 401, "invalid_client")
			w.send(nil, credentials("client_id", "orders")).refused(t, 401, "invalid_client")
			w.send(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, credentials()).refused(t, 401, "invalid_client")
			w.send(func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }, credentials()).refused(t, 401, "invalid_client")
			w.send(basic("", w.Keys["orders"]), credentials()).refused(t, 401, "invalid_client")
			w.send(func(r *http.Request) { r.SetBasicAuth("%zz", "x") }, credentials()).refused(t, 401, "invalid_client")
			w.send(func(r *http.Request) { r.SetBasicAuth("x", "%zz") }, credentials()).refused(t, 401, "invalid_client")
		},
		"A8 two credentials": func(t *testing.T) {
			w.send(w.As("orders"), credentials("client_secret", w.Keys["orders"])).refused(t, 400, "invalid_request")
			w.send(w.As("orders"), credentials("client_assertion", "x")).refused(t, 400, "invalid_request")
			w.send(func(r *http.Request) {
				w.As("orders")(r)
				r.Header.Add("Authorization", r.Header.Get("Authorization"))
			}, credentials()).refused(t, 400, "invalid_request")
			w.send(w.As("orders"), credentials("client_id", "billing")).refused(t, 400, "invalid_request")
			w.send(w.As("orders"), credentials("client_id", "orders")).token(t)
		},
		"A9 secrets in the query": func(t *testing.T) {
			for _, query := range []string{"client_secret=" + w.Keys["orders"], "api_key=x", "apiKey=x", "subject_token=x", "grant_type=client_credentials"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer+"/oauth/token?"+query, strings.NewReader(credentials("client_id", "orders").Encode()))
				require.NoError(t, err)
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w.do(req).refused(t, 400, "invalid_request")
			}
		},
		"A10 no grant_type": func(t *testing.T) { w.send(w.As("orders"), url.Values{}).refused(t, 400, "invalid_request") },
		"A11 unknown grant_type": func(t *testing.T) {
			w.send(w.As("orders"), pairs("grant_type", "foo")).refused(t, 400, "unsupported_grant_type")
		},
		"A12 a grant that the client may not use": func(t *testing.T) {
			w.send(w.As("exchanger"), credentials()).refused(t, 400, "unauthorized_client")
		},
		"A13 repeated parameters": func(t *testing.T) {
			for _, name := range []string{"scope", "grant_type", "subject_token", "client_id", "tenant"} {
				form := credentials()
				form[name] = []string{"client_credentials", "client_credentials"}
				w.send(w.As("orders"), form).refused(t, 400, "invalid_request")
			}
		},
		"A14 an empty parameter is none": func(t *testing.T) {
			a := w.send(w.As("orders"), credentials("scope", "", "audience", "", "resource", ""))
			a.token(t)
			require.Equal(t, createInvoices+" billing:read", a.body["scope"])
		},
		"A15 unknown parameters": func(t *testing.T) { w.send(w.As("orders"), credentials("foo", "1")).token(t) },
		"A16 other methods and bodies": func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				req, err := http.NewRequestWithContext(t.Context(), method, w.Issuer+"/oauth/token", nil)
				require.NoError(t, err)
				a := w.do(req)
				a.refused(t, 405, "invalid_request")
				require.Equal(t, "POST", a.header.Get("Allow"))
			}
			for _, mediaType := range []string{"application/json", "multipart/form-data; boundary=x", ""} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer+"/oauth/token", strings.NewReader(credentials().Encode()))
				require.NoError(t, err)
				req.Header.Set("Content-Type", mediaType)
				w.As("orders")(req)
				w.do(req).refused(t, 400, "invalid_request")
			}
		},
		"A18 Basic is form-decoded": func(t *testing.T) {
			w.send(func(r *http.Request) {
				r.SetBasicAuth(strings.ReplaceAll("orders", "o", "%6F"), strings.Replace(w.Keys["orders"], "_", "%5f", 1))
			}, credentials()).token(t)
		},
		"A19 bodies beyond every limit": func(t *testing.T) {
			w.send(w.As("orders"), credentials("foo", strings.Repeat("x", 200<<10))).refused(t, 413, "invalid_request")
			form := credentials()
			for i := range 10_000 {
				form.Add("p", string(rune('a'+i%26)))
			}
			w.send(w.As("orders"), form).refused(t, 400, "invalid_request")
			malformed, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer+"/oauth/token", strings.NewReader("%zz"))
			require.NoError(t, err)
			malformed.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w.do(malformed).refused(t, 400, "invalid_request")
		},
		"B2 the scopes that are asked for": func(t *testing.T) {
			a := w.send(w.As("orders"), credentials("scope", "billing:read billing:read"))
			require.True(t, w.verify(a.token(t), "billing").HasScope("billing:read"))
			require.Equal(t, "billing:read", a.body["scope"])
		},
		"B3 a scope beyond the registration": func(t *testing.T) {
			w.send(w.As("orders"), credentials("scope", "billing:read admin")).refused(t, 400, "invalid_scope")
		},
		"B4 an audience beyond the registration": func(t *testing.T) {
			w.send(w.As("orders"), credentials("audience", "console")).refused(t, 400, "invalid_target")
			w.send(w.As("orders"), credentials("resource", "https://orders.example")).refused(t, 400, "invalid_target")
			w.send(w.As("orders"), credentials("resource", "https://nowhere.example")).refused(t, 400, "invalid_target")
		},
		"B4 a resource names an audience": func(t *testing.T) {
			p := w.verify(w.send(w.As("many"), credentials("resource", "https://orders.example")).token(t), "orders")
			require.Equal(t, []string{"orders"}, p.Audiences())
		},
		"B5 the default audience": func(t *testing.T) {
			require.Equal(t, []string{"billing"}, w.verify(w.send(w.As("orders"), credentials()).token(t), "billing").Audiences())
			require.Equal(t, []string{"orders"}, w.verify(w.send(w.As("many"), credentials()).token(t), "orders").Audiences())
			w.send(w.As("homeless"), credentials()).refused(t, 400, "invalid_target")
			w.send(w.As("billing"), credentials()).refused(t, 400, "invalid_target")
		},
		"B6 scopes of two audiences": func(t *testing.T) {
			w.send(w.As("many"), credentials("scope", "orders:read billing:read")).refused(t, 400, "invalid_scope")
			form := credentials("scope", "billing:read")
			form["audience"] = []string{"orders", "billing"}
			w.send(w.As("many"), form).refused(t, 400, "invalid_scope")
			form.Set("scope", "shared")
			p := w.verify(w.send(w.As("many"), form).token(t), "billing")
			require.Equal(t, []string{"orders", "billing"}, p.Audiences())
		},
		"D1 D2 D4 the token": func(t *testing.T) {
			token := w.send(w.As("orders"), credentials()).token(t)
			header := part(t, token, 0)
			require.Equal(t, "at+jwt", header["typ"])
			require.Equal(t, "ES256", header["alg"])
			claims := claimsOf(t, token)
			for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "orig_iat"} {
				require.Contains(t, claims, name)
			}
			require.Equal(t, w.Issuer, claims["iss"], "G1")
			p := w.verify(token, "billing")
			require.Equal(t, authn.KindService, p.Kind())
			require.Equal(t, "client:orders", p.Subject())
			require.Equal(t, "orders", p.ClientID())
			require.Empty(t, p.UserID())
			require.Equal(t, map[string][]string{"client_shop:invoice": {"read"}}, p.Permissions(), "only the audience's entity types")
			require.Nil(t, p.Actor())
		},
		"works with x/oauth2": func(t *testing.T) {
			for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
				cc := clientcredentials.Config{ClientID: "orders", ClientSecret: w.Keys["orders"], TokenURL: w.Issuer + "/oauth/token", Scopes: []string{"billing:read"}, AuthStyle: style}
				token, err := cc.Token(t.Context())
				require.NoError(t, err)
				require.True(t, token.Valid())
				require.WithinDuration(t, time.Now().Add(15*time.Minute), token.Expiry, time.Minute)
			}
		},
		"works with pkg/authn": func(t *testing.T) {
			source, err := authn.NewTokenSource(authn.TokenSourceConfig{
				TokenURL: w.Issuer + "/oauth/token", ClientID: "orders", APIKeyFile: w.File("k", w.Keys["orders"]), Audience: "billing", Scopes: []string{createInvoices},
			})
			require.NoError(t, err)
			defer source.Close()
			token, err := source.Token()
			require.NoError(t, err)
			require.True(t, w.verify(token.AccessToken, "billing").HasScope(createInvoices))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}
