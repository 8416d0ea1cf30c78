package tokenexchange_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func (w *world) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Issuer+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.do(req)
}

func (w *world) kids(t *testing.T) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	require.NoError(t, json.Unmarshal([]byte(w.get(t, "/.well-known/jwks.json").raw), &set))
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func TestWellKnown(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("G1 G3 metadata", func(t *testing.T) {
		t.Parallel()
		a := w.get(t, "/.well-known/oauth-authorization-server")
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.Equal(t, map[string]any{
			"issuer": w.Issuer, "token_endpoint": w.Issuer + "/oauth/token", "jwks_uri": w.Issuer + "/.well-known/jwks.json",
			"grant_types_supported":                 []any{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"},
			"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
			"introspection_endpoint":                w.Issuer + "/oauth/introspect", "revocation_endpoint": w.Issuer + "/oauth/revoke",
			"introspection_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
			"revocation_endpoint_auth_methods_supported":    []any{"client_secret_basic", "client_secret_post"},
		}, a.body, "response_types_supported would be empty and is left out (RFC 8414, section 3.2)")
	})
	t.Run("G5 G7 key set", func(t *testing.T) {
		t.Parallel()
		a := w.get(t, "/.well-known/jwks.json")
		require.Equal(t, "public, max-age=300, must-revalidate", a.header.Get("Cache-Control"))
		tag := a.header.Get("ETag")
		require.NotEmpty(t, tag)
		keys, ok := a.body["keys"].([]any)
		require.True(t, ok)
		require.Len(t, keys, 1)
		key, ok := keys[0].(map[string]any)
		require.True(t, ok)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			require.NotContains(t, key, private)
		}
		require.Equal(t, "sig", key["use"])
		require.Equal(t, "ES256", key["alg"])
		require.Equal(t, http.StatusNotModified, w.get(t, "/.well-known/jwks.json", "If-None-Match", tag).status)
		require.Equal(t, http.StatusNotModified, w.get(t, "/.well-known/jwks.json", "If-None-Match", `"x", W/`+tag).status)
		require.Equal(t, http.StatusOK, w.get(t, "/.well-known/jwks.json", "If-None-Match", `"x"`).status)
	})
}

func TestWellKnown_G2_AnIssuerWithAPath(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *configuration) { c.Issuer += "/tenant/sts" }))
	a := w.get(t, "/.well-known/oauth-authorization-server/tenant/sts")
	require.Equal(t, w.Issuer+"/tenant/sts", a.body["issuer"])
	require.Equal(t, w.Issuer+"/tenant/sts/oauth/token", a.body["token_endpoint"])
	require.Equal(t, http.StatusNotFound, w.get(t, "/.well-known/oauth-authorization-server").status)
}

func TestSigning_D3_EveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			w := start(t, with(func(c *configuration) { c.SigningAlgorithm = algorithm }))
			token := w.send(w.As("orders"), credentials()).token(t)
			require.Equal(t, algorithm, part(t, token, 0)["alg"])
			w.verify(token, "billing")
		})
	}
}

func TestRestart_KeepsKeysBlocksAndClients(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := w.kids(t)
	token := w.send(w.As("orders"), credentials()).token(t)
	admin := w.admin(t)
	made, err := admin.CreateKey(t.Context(), "orders", api.NewKey{})
	require.NoError(t, err)
	blocked, reason := true, "leaked"
	_, err = admin.ChangeClient(t.Context(), "many", api.ClientPatch{Blocked: &blocked, BlockReason: &reason})
	require.NoError(t, err)
	imported, err := api.ParseKey(w.Keys["billing"])
	require.NoError(t, err)
	require.NoError(t, admin.RevokeKey(t.Context(), "billing", imported.ID()))

	w.service.Stop()
	w.service = w.run()
	require.Equal(t, before, w.kids(t))
	w.verify(token, "billing")
	w.send(basic("orders", made.Secret), credentials()).token(t)
	w.send(w.As("many"), credentials()).refused(t, 401, "invalid_client")
	w.send(w.As("billing"), credentials("audience", "orders")).refused(t, 401, "invalid_client")
}

func TestReplicas_ShareKeysAndClients(t *testing.T) {
	t.Parallel()
	w := start(t)
	first := w.Front.Load()
	before := w.kids(t)
	token := w.send(w.As("orders"), credentials()).token(t)
	made, err := w.admin(t).CreateKey(t.Context(), "orders", api.NewKey{})
	require.NoError(t, err)

	second := w.run() // the issuer's address now leads here
	require.NotEqual(t, first.Host, w.Front.Load().Host)
	require.Equal(t, before, w.kids(t))
	w.verify(token, "billing")
	other := w.send(basic("orders", made.Secret), credentials()).token(t)
	require.NoError(t, w.admin(t).RevokeKey(t.Context(), "orders", made.ID))
	w.Front.Store(&url.URL{Scheme: "http", Host: first.Host})
	w.verify(other, "billing")
	w.send(basic("orders", made.Secret), credentials()).refused(t, 401, "invalid_client")
	second.Stop()
}

// TestDump_G8 looks for secrets in every row of the database.
func TestDump_G8(t *testing.T) {
	t.Parallel()
	w := start(t)
	made, err := w.admin(t).CreateKey(t.Context(), "orders", api.NewKey{})
	require.NoError(t, err)
	token := w.send(basic("orders", made.Secret), exchange(w.User("u1"))).token(t)
	w.audited(t, "granted AND client_id = 'orders'")
	dump := w.dump(t)
	for _, key := range append([]string{made.Secret}, w.Keys["orders"], w.Keys["console"]) {
		secret := strings.Split(key, "_")[3]
		require.NotContains(t, dump, secret)
		require.NotContains(t, dump, hex.EncodeToString([]byte(secret)))
	}
	require.NotContains(t, dump, token)
	require.NotContains(t, dump, strings.Split(token, ".")[2])

	var sealed []byte
	require.NoError(t, w.Database.Owner.QueryRow(t.Context(), "SELECT sealed FROM signing_keys").Scan(&sealed))
	require.NotContains(t, string(sealed), "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "the object identifier of P-256 would show an open key")
}

func TestTokens_D5_IDsAreUnique(t *testing.T) {
	t.Parallel()
	w := start(t)
	seen := map[any]bool{}
	for range 200 {
		id := claimsOf(t, w.send(w.As("orders"), credentials()).token(t))["jti"]
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestTokens_D7_TheWidestStaysSmall(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.send(w.As("console"), exchange(w.User("u-"+strings.Repeat("x", 200)), "audience", "billing")).token(t)
	require.Less(t, len(token), 4<<10)
	require.WithinDuration(t, time.Now().Add(15*time.Minute), w.verify(token, "billing").ExpiresAt(), time.Minute)
}
