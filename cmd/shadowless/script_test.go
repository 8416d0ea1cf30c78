package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

const policyYAML = `
audiences:
  orders: {entity_types: ["client_shop:order"]}
  billing: {entity_types: ["client_shop:invoice"]}
  token-exchange: {}
`

var registrations = []api.ClientSpec{
	{ID: streams.Operator, Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{api.AdminScope}}}},
	{ID: "orders", Audiences: map[string]api.Audience{"billing": {Scopes: []string{"billing:read"}}}},
	{ID: "many", Audiences: map[string]api.Audience{"billing": {Scopes: []string{"billing:read"}}}},
}

// system is token-exchange, running, and a folder in which scripts are run.
type system struct {
	*tokenexchangetest.Deployment
	t     *testing.T
	dir   string
	admin *api.Admin
}

func prepare(t *testing.T, change func(*tokenexchange.Config)) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir()}
	s.Deployment = tokenexchangetest.New(t, tokenexchangetest.Options{
		Policy: policyYAML, Clients: registrations, Log: slog.DiscardHandler, Change: change,
	})
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"shadowless", "token-exchange"} {
		require.NoError(t, os.Symlink(self, filepath.Join(s.dir, name)))
	}
	return s
}

// blocks are the sh blocks of a document, as they stand there.
func blocks(t *testing.T, document string) []string {
	t.Helper()
	var list []string
	var block strings.Builder
	inside := false
	for line := range strings.Lines(document) {
		switch strings.TrimSpace(line) {
		case "```sh":
			inside = true
		case "```":
			if inside {
				list = append(list, block.String())
				block.Reset()
			}
			inside = false
		default:
			if inside {
				block.WriteString(line)
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}

// run runs a script with the real commands against the service.
func (s *system) run(script string, env ...string) (string, error) {
	s.t.Helper()
	sh := exec.CommandContext(s.t.Context(), "sh", "-eu", "-c", script)
	sh.Dir = s.dir
	path := append([]string{s.dir, os.Getenv("PATH")}, postgresTools()...)
	sh.Env = append(os.Environ(), append([]string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)),
		"GORACE=atexit_sleep_ms=0", // the race detector waits a second at the end of each command
		"SHADOWLESS_TOKEN_EXCHANGE_URL=" + s.Issuer, "SHADOWLESS_IDENTITY_RELAY_URL=" + s.Issuer,
		"SHADOWLESS_API_KEY_FILE=" + s.File("operator.key", s.Keys[streams.Operator]),
		"KEY_ENCRYPTION_FILE=" + s.Config.KeyEncryptionKeyFile, "KEY_HASH_FILE=" + s.Config.KeyHashKeyFile,
		"DATABASE_URL=" + s.Database.OwnerURL,
	}, env...)...)
	out, err := sh.CombinedOutput()
	return string(out), err
}

// must is run, which succeeds.
func (s *system) must(script string, env ...string) string {
	s.t.Helper()
	out, err := s.run(script, env...)
	require.NoError(s.t, err, out)
	return out
}

// postgresTools are where Debian puts pg_dump and pg_restore.
func postgresTools() []string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is good
	return found
}

// ask posts a form as a client and returns the answer.
func (s *system) ask(client, key, path string, form url.Values) (status int, body map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Issuer+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	tokenexchangetest.Basic(client, key)(req)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	_ = json.Unmarshal(raw, &body) // a refusal is known by its status
	return resp.StatusCode, body
}

// token is a client's own.
func (s *system) token(client string) string {
	s.t.Helper()
	status, body := s.ask(client, s.Keys[client], "/oauth/token", tokenexchangetest.Credentials())
	require.Equal(s.t, http.StatusOK, status, body)
	token, ok := body["access_token"].(string)
	require.True(s.t, ok)
	return token
}

// active asks a service for which the token is.
func (s *system) active(client, token string) bool {
	s.t.Helper()
	_, body := s.ask(client, s.Keys[client], "/oauth/introspect", tokenexchangetest.Pairs("token", token))
	return body["active"] == true
}

// kids are the signing keys.
func (s *system) kids() (ids []string) {
	s.t.Helper()
	keys, err := s.admin.SigningKeys(s.t.Context())
	require.NoError(s.t, err)
	for _, k := range keys {
		ids = append(ids, k.KeyID)
	}
	return ids
}
