package devidp_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/internal/config"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func environment(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{
		"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true", "DEV_IDP_INSECURE_DEVELOPMENT_IDP=true",
		"DATABASE_URL_FILE=" + write(t, "url", "postgres://127.0.0.1:1/x"),
	}, more...)
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load[devidp.Config](devidp.Prefix, environment(t))
	require.NoError(t, err)
	require.Equal(t, devidp.Promised, cfg.As)
	require.Equal(t, "http://127.0.0.1:8405", cfg.BaseURL)
	require.False(t, cfg.RequireVerification)
	require.Len(t, cfg.WebhookRetries, 3)
}

func TestEveryFaultIsReported(t *testing.T) {
	t.Parallel()
	_, err := config.Load[devidp.Config](devidp.Prefix, []string{
		"DEV_IDP_AS=dreamed", "DEV_IDP_BASE_URL=nowhere", "DEV_IDP_SIGN_IN_ATTEMPTS=-2", "DEV_IDP_KEY_ROTATION=0s",
		"DEV_IDP_WEBHOOK_RETRIES=0s", "DEV_IDP_SETTINGS_FILE=" + write(t, "settings.yaml", "clients: [{id: x}]"), "DEV_IDP_UNKNOWN=1",
	})
	require.ErrorIs(t, err, devidp.ErrNotDevelopment)
	require.ErrorIs(t, err, devidp.ErrNotConfirmed)
	for _, fault := range []string{
		"DEV_IDP_AS", "DEV_IDP_BASE_URL", "DEV_IDP_SIGN_IN_ATTEMPTS", "DEV_IDP_KEY_ROTATION", "DEV_IDP_WEBHOOK_RETRIES",
		"DATABASE_URL_FILE", "DEV_IDP_UNKNOWN", "token_audience is missing", `client "x" needs redirect_uris and audiences`,
	} {
		require.ErrorContains(t, err, fault)
	}
}

func TestSettingsFile(t *testing.T) {
	t.Parallel()
	secret := write(t, "secret", "from a file\n")
	path := write(t, "settings.yaml", `
sign_up_secret: {file: `+secret+`}
rotation_secret: {value: r}
token_audience: a
default_tenant: acme
webhooks: [{name: relay, url: "http://127.0.0.1:1/hook", secret: {value: whsec_x}}]
`)
	_, err := config.Load[devidp.Config](devidp.Prefix, environment(t, "DEV_IDP_SETTINGS_FILE="+path))
	require.NoError(t, err)
	for name, content := range map[string]string{
		"field colour not found":                 "colour: blue",
		"is empty or given twice":                "clients: [{id: x}, {id: x}]",
		"neither json nor form":                  "webhooks: [{name: x, url: 'http://x/', secret: {value: y}, format: xml}]",
		"is not a URL":                           "webhooks: [{name: x, url: here, secret: {value: y}}]",
		"the secret is empty":                    "sign_up_secret: {}",
		"a value or a file, not both":            "sign_up_secret: {value: x, file: y}",
		"needs entity_type and relation":         "registration_contexts: [{slug: x, client: y, grants: [{relation: z}]}]",
		"redirect URI \"/here\" is not absolute": "clients: [{id: x, redirect_uris: [/here], audiences: [a]}]",
	} {
		_, err := config.Load[devidp.Config](devidp.Prefix, environment(t, "DEV_IDP_SETTINGS_FILE="+write(t, "bad.yaml", content)))
		require.ErrorContains(t, err, name)
	}
}

// A program that starts the service writes the file from DefaultSettings.
func TestDefaultSettingsCanBeWrittenAndRead(t *testing.T) {
	t.Parallel()
	content, err := yaml.Marshal(devidp.DefaultSettings())
	require.NoError(t, err)
	_, err = config.Load[devidp.Config](devidp.Prefix, environment(t, "DEV_IDP_SETTINGS_FILE="+write(t, "settings.yaml", string(content))))
	require.NoError(t, err, string(content))
}
