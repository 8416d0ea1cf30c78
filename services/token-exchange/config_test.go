package tokenexchange_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

func TestConfig_NamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.WriteFile(bad, []byte("nonsense: true\n"), 0o600))
	_, err := config.Load[tokenexchange.Config](tokenexchange.Prefix, []string{
		"TOKEN_EXCHANGE_ISSUER=http://sts.example/?x", "TOKEN_EXCHANGE_POLICY_FILE=" + bad, "TOKEN_EXCHANGE_CLIENTS_FILE=" + bad,
		"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE=" + bad, "TOKEN_EXCHANGE_KEY_LABEL=A B", "TOKEN_EXCHANGE_SIGNING_ALGORITHM=HS256",
		"TOKEN_EXCHANGE_SIGNING_PUBLISH_AHEAD=1m", "TOKEN_EXCHANGE_USERINFO_URL=userinfo", "TOKEN_EXCHANGE_MAX_STALENESS=0s", "TOKEN_EXCHANGE_ISSUR=x",
	})
	for _, name := range []string{
		"ISSUER must have no query", "POLICY_FILE", "CLIENTS_FILE", "KEY_HASH_KEY_FILE", "KEY_ENCRYPTION_KEY_FILE is required", "KEY_LABEL",
		"HS256", "published at least", "USERINFO_URL", "MAX_STALENESS", "TOKEN_EXCHANGE_ISSUR is not", "DATABASE_URL_FILE", "NATS_URL",
	} {
		require.ErrorContains(t, err, name)
	}
}

func TestConfig_DocumentsEveryVariable(t *testing.T) {
	t.Parallel()
	for _, v := range config.Variables[tokenexchange.Config]() {
		require.NotEmpty(t, v.Doc, v.Name)
	}
}

func TestConfig_A20_PlainHTTPOnlyInDevelopment(t *testing.T) {
	t.Parallel()
	_, err := config.Load[tokenexchange.Config](tokenexchange.Prefix, []string{"INSECURE_PLAIN_HTTP=true"})
	require.ErrorContains(t, err, "INSECURE_PLAIN_HTTP is refused")
}
