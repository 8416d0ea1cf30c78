package console_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/console"
)

func environment(t *testing.T, change map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	secret := file("secret", "x\n")
	values := map[string]string{
		"ENVIRONMENT": "production", "TLS_CERT_FILE": secret, "TLS_KEY_FILE": secret,
		"AUTHN_CONFIG_FILE": secret, "NATS_URL": "tls://nats:4222", "DATABASE_URL_FILE": secret, "TOMBSTONE_KEY_FILE": secret,
		"CONSOLE_PUBLIC_URL": "https://shop.example", "CONSOLE_ISSUER": "https://idp.example", "CONSOLE_DISCOVERY_URL": "https://idp.example/d",
		"CONSOLE_CLIENT_SECRET_FILE": secret, "CONSOLE_SESSION_KEY_FILE": file("keys", console.NewSessionKey()),
		"CONSOLE_ORDERS_URL": "https://orders:8443", "CONSOLE_BILLING_URL": "https://billing:8443",
	}
	maps.Copy(values, change)
	out := make([]string, 0, len(values))
	for name, value := range values {
		out = append(out, name+"="+value)
	}
	return out
}

func TestConfig_Valid(t *testing.T) {
	t.Parallel()
	c, err := config.Load[console.Config](console.Prefix, environment(t, map[string]string{
		"CONSOLE_TRUSTED_PROXIES": "10.0.0.0/8,2001:db8::/32", "CONSOLE_PLACES": "orders=https://orders.example,grafana=https://grafana.example/d",
	}))
	require.NoError(t, err)
	require.Len(t, c.TrustedProxies, 2)
	require.Equal(t, "https://grafana.example/d", c.Places["grafana"])
	require.Equal(t, []string{"openid", "offline_access"}, c.Scopes)
}

func TestConfig_EveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[console.Config](console.Prefix, nil)
	for _, name := range []string{
		"CONSOLE_PUBLIC_URL", "CONSOLE_ISSUER", "CONSOLE_DISCOVERY_URL", "CONSOLE_CLIENT_SECRET_FILE", "CONSOLE_SESSION_KEY_FILE",
		"CONSOLE_ORDERS_URL", "CONSOLE_BILLING_URL", "AUTHN_CONFIG_FILE", "NATS_URL", "DATABASE_URL_FILE",
	} {
		require.ErrorContains(t, err, name)
	}
	for name, value := range map[string]string{
		"CONSOLE_PUBLIC_URL": "http://shop.example", "CONSOLE_SIGN_UP_URL": "http://idp.example/sign-up", "CONSOLE_SESSION_KEY_FILE": os.Args[0],
		"CONSOLE_SCOPES": "profile", "CONSOLE_FRONT_DOOR": "true", "CONSOLE_SESSION_IDLE": "0s", "CONSOLE_TYPO": "x", "CONSOLE_TRUSTED_PROXIES": "10.0.0.1",
	} {
		_, err := config.Load[console.Config](console.Prefix, environment(t, map[string]string{name: value}))
		require.Error(t, err, name)
	}
	_, err = config.Load[console.Config](console.Prefix, environment(t, map[string]string{"CONSOLE_PUBLIC_URL": "https://shop.example/app"}))
	require.ErrorContains(t, err, "host and port alone")
	_, err = config.Load[console.Config](console.Prefix, environment(t, map[string]string{
		"CONSOLE_FRONT_DOOR": "true", "CONSOLE_FRONT_DOOR_AUDIENCES": "orders",
	}))
	require.Equal(t, 3, strings.Count(err.Error(), "\n"), err)
}
