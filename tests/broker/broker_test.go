// Package broker_test runs token-exchange in broker mode in front of the
// development identity provider, as it is promised and as it is observed.
package broker_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// world is both services, running.
type world struct {
	t      *testing.T
	idp    *meshtest.Service
	idpURL string
	sts    string
	keys   map[string]string
}

func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // only its address was wanted
	return l.Addr().String()
}

func start(t *testing.T, as string) *world {
	t.Helper()
	m := meshtest.New(t)
	w := &world{t: t, keys: map[string]string{}}
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}

	idpAddress, stsAddress := free(t), free(t)
	w.idpURL, w.sts = "http://"+idpAddress, "http://"+stsAddress
	idpDatabase := identitytest.Postgres(t, devidp.Migrations())
	w.idp = m.Start(func(ctx context.Context, c config.Common, log *slog.Logger) error {
		c.ListenAddress = idpAddress
		return devidp.Run(ctx, devidp.Config{
			Common: c, InsecureDevelopmentIDP: true, As: as, BaseURL: w.idpURL, Seed: true,
			DatabaseURLFile: file("idp.database", idpDatabase.URL),
		}, log)
	})

	profile, issuer := "auther", w.idpURL
	if as == devidp.Observed {
		profile = "auther-observed"
	}
	backends, database := m.Backends(tokenexchange.Name)
	backends.AuthnConfigFile = file("authn.yaml", `issuers:
- {issuer: `+issuer+`, profile: `+profile+`, jwks_urls: [`+w.idpURL+`/api/auth/jwks]}
- {issuer: `+w.sts+`, profile: shadowless, jwks_urls: [`+w.sts+`/.well-known/jwks.json], users_of: `+issuer+`}
`)
	var clients strings.Builder
	clients.WriteString("clients:\n")
	for id, audience := range map[string]string{
		"operator": `token-exchange: {scopes: ["` + api.AdminScope + `"]}`,
		"reports":  `"` + devidp.DefaultSettings().TokenAudience + `": {scopes: [api_key_exchange, "reports:read"]}`,
	} {
		key, err := api.GenerateKey("test")
		require.NoError(t, err)
		w.keys[id] = key.Reveal()
		clients.WriteString("- {id: " + id + ", audiences: {" + audience + "}, key_files: [" + file(id+".key", key.Reveal()) + "]}\n")
	}
	m.Start(func(ctx context.Context, c config.Common, log *slog.Logger) error {
		c.ListenAddress = stsAddress
		cfg, err := config.Load[tokenexchange.Config](tokenexchange.Prefix, []string{
			"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true",
			"AUTHN_CONFIG_FILE=" + backends.AuthnConfigFile, "NATS_URL=" + backends.NATSURL,
			"DATABASE_URL_FILE=" + backends.DatabaseURLFile, "MIGRATION_DATABASE_URL_FILE=" + file("migrator", database.OwnerURL), "TOMBSTONE_KEY_FILE=" + backends.TombstoneKeyFile,
			"TOKEN_EXCHANGE_ISSUER=" + w.sts, "TOKEN_EXCHANGE_CLIENTS_FILE=" + file("clients.yaml", clients.String()),
			"TOKEN_EXCHANGE_POLICY_FILE=" + file("policy.yaml", "audiences: {token-exchange: {}}\n"),
			"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE=" + file("hash", api.GenerateSecretKey("h")),
			"TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE=" + file("encryption", api.GenerateSecretKey("e")),
			"TOKEN_EXCHANGE_MODE=broker", "TOKEN_EXCHANGE_UPSTREAM_URL=" + w.idpURL,
		})
		if err != nil {
			return err
		}
		cfg.Common = c
		return tokenexchange.Run(ctx, cfg, log)
	})
	return w
}

func (w *world) ask(client string, extra ...string) (int, map[string]any) {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.sts+"/oauth/token", strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, w.keys[client])
	resp, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	var body map[string]any
	require.NoError(w.t, json.Unmarshal(raw, &body), string(raw))
	return resp.StatusCode, body
}

func (w *world) admin() *api.Admin {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "key")
	require.NoError(w.t, os.WriteFile(path, []byte(w.keys["operator"]), 0o600))
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: w.sts + "/oauth/token", ClientID: "operator", APIKeyFile: path, Audience: "token-exchange", Scopes: []string{api.AdminScope},
	})
	require.NoError(w.t, err)
	w.t.Cleanup(source.Close)
	admin, err := api.NewAdmin(w.sts, &http.Client{Transport: source.Transport(nil), Timeout: 20 * time.Second})
	require.NoError(w.t, err)
	return admin
}

func TestBroker_InFrontOfAutherAsPromised(t *testing.T) {
	t.Parallel()
	w := start(t, devidp.Promised)
	status, body := w.ask("reports")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "unauthorized_client", body["error"], "it has no upstream key yet")

	key := devidp.DefaultSettings().APIKeys[0].Key.Value
	admin := w.admin()
	wrong, err := admin.SetUpstreamKey(t.Context(), "reports", "not-a-key-of-this-auther")
	require.NoError(t, err)
	require.False(t, wrong.Works)
	require.Contains(t, wrong.Problem, "refused the client's key")
	set, err := admin.SetUpstreamKey(t.Context(), "reports", key)
	require.NoError(t, err)
	require.True(t, set.Works, set.Problem)

	status, body = w.ask("reports", "scope", "api_key_exchange")
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "api_key_exchange", body["scope"])
	token, ok := body["access_token"].(string)
	require.True(t, ok)
	cfg := authn.Config{Issuers: []authn.IssuerConfig{{Issuer: w.idpURL, Profile: "auther", JWKSURLs: []string{w.idpURL + "/api/auth/jwks"}}}}
	verifier, err := authn.New(t.Context(), cfg, authn.Options{Audiences: []string{devidp.DefaultSettings().TokenAudience}, SkipRevocation: true, Development: true})
	require.NoError(t, err)
	t.Cleanup(verifier.Close)
	p, err := verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, "apikey:shop-directory", p.ClientID(), "the upstream minted it, for the client's upstream key")

	status, body = w.ask("reports", "scope", "reports:read")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_scope", body["error"], "it is registered, and the upstream does not grant it")
	status, body = w.ask("reports", "scope", "api_key_exchange openid")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_scope", body["error"], "it is not registered")
	status, body = w.ask("reports")
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "api_key_exchange", body["scope"], "who asks for none is told what the upstream gave")
	require.Equal(t, token, body["access_token"])

	w.idp.Stop()
	status, body = w.ask("reports")
	require.Equal(t, http.StatusOK, status, "an outage of the upstream is not noticed")
	require.Equal(t, token, body["access_token"])
}

func TestBroker_SaysWhatIsWrongWithAutherAsObserved(t *testing.T) {
	t.Parallel()
	w := start(t, devidp.Observed)
	set, err := w.admin().SetUpstreamKey(t.Context(), "reports", devidp.DefaultSettings().APIKeys[0].Key.Value)
	require.NoError(t, err)
	require.False(t, set.Works)
	require.Contains(t, set.Problem, "Failed to process signing key")
	require.Contains(t, set.Problem, "TOKEN_EXCHANGE_MODE=issuer")
	status, body := w.ask("reports")
	require.Equal(t, http.StatusBadGateway, status)
	require.Equal(t, "server_error", body["error"])
	require.NotContains(t, body["error_description"], "signing key")
}
