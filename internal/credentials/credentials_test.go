package credentials_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/credentials"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func overlay(t *testing.T, name string) credentials.Overlay {
	t.Helper()
	o, err := credentials.OverlayNamed(name)
	require.NoError(t, err)
	return o
}

func byName(secrets []credentials.Secret) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, s := range secrets {
		all[s.Name] = s.Files
	}
	return all
}

func TestGenerate_RemembersWhatItMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state", "dev.json")
	options := credentials.Options{Overlay: overlay(t, "dev"), File: file}
	first, err := credentials.Generate(options)
	require.NoError(t, err)
	second, err := credentials.Generate(options)
	require.NoError(t, err)
	require.Equal(t, first, second)

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	other, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: file + ".other"})
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}

func TestGenerate_RefusesAFileThatOthersCanRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dev.json")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o644)) //nolint:gosec // the point of the test
	_, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: file})
	require.ErrorContains(t, err, "can be read by others")
}

func TestGenerate_DoesNotQuoteADamagedFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dev.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"ca.key": hunter2}`), 0o600))
	_, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: file})
	require.ErrorContains(t, err, "is damaged")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestGenerate_CertificatesServeTheirNames(t *testing.T) {
	t.Parallel()
	secrets, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: filepath.Join(t.TempDir(), "dev.json")})
	require.NoError(t, err)
	files := byName(secrets)["orders-tls"]
	pair, err := tls.X509KeyPair([]byte(files["tls.crt"]), []byte(files["tls.key"]))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(files["ca.crt"])))

	for name, trusted := range map[string]bool{
		"orders": true, "orders.shadowless.svc.cluster.local": true, "localhost": true, "127.0.0.1": true, "billing": false,
	} {
		client, peer := net.Pipe()
		go func() {
			// The client's verdict is what is tested; the server's end fails with it.
			_ = tls.Server(peer, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
			_ = peer.Close()
		}()
		err := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
		require.Equal(t, trusted, err == nil, "%s: %v", name, err)
		require.NoError(t, client.Close())
	}
}

func TestGenerate_RenewsCertificatesAndKeepsTheAuthority(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	options := credentials.Options{Overlay: overlay(t, "dev"), File: filepath.Join(t.TempDir(), "dev.json"), Now: func() time.Time { return now }}
	first, err := credentials.Generate(options)
	require.NoError(t, err)
	now = now.AddDate(0, 11, 0)
	second, err := credentials.Generate(options)
	require.NoError(t, err)
	a, b := byName(first)["orders-tls"], byName(second)["orders-tls"]
	require.NotEqual(t, a["tls.crt"], b["tls.crt"])
	require.Equal(t, a["ca.crt"], b["ca.crt"])
	require.Equal(t, byName(first)["orders"], byName(second)["orders"], "nothing else changes")
}

func TestGenerate_ProductionAsksForWhatTheProviderGives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := credentials.Options{Overlay: overlay(t, "prod"), File: filepath.Join(dir, "prod.json"), Given: filepath.Join(dir, "given")}
	_, err := credentials.Generate(options)
	for _, missing := range []string{"identity-relay/webhook.secrets", "identity-relay/idp-administrator.json", "console/oidc-client.secret", "console/sign-up.secret", "orders/directory-api.key"} {
		require.ErrorContains(t, err, missing)
		path := filepath.Join(options.Given, missing)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("given"), 0o600))
	}
	secrets, err := credentials.Generate(options)
	require.NoError(t, err)
	require.Equal(t, "given", byName(secrets)["console"]["oidc-client.secret"])
	require.NotContains(t, byName(secrets), "dev-idp")
}

// What is made is what its readers read.
func TestGenerate_FilesAreReadByTheirOwners(t *testing.T) {
	t.Parallel()
	secrets, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: filepath.Join(t.TempDir(), "dev.json")})
	require.NoError(t, err)
	all := byName(secrets)
	path := filepath.Join(t.TempDir(), "tombstone.keys")
	require.NoError(t, os.WriteFile(path, []byte(all["orders"]["tombstone.keys"]), 0o600))
	_, err = participant.LoadTombstones(path)
	require.NoError(t, err)
	for _, client := range []string{"orders", "billing", "identity-relay", "console"} {
		own := all[client]["api.key"]
		_, err := api.ParseKey(strings.TrimSpace(own))
		require.NoError(t, err)
		require.Equal(t, own, all["token-exchange-client-keys"][client+".key"])
	}
	require.NotEqual(t, all["orders"]["tombstone.keys"], all["billing"]["tombstone.keys"], "services cannot compare their tombstones")
	require.Equal(t, all["dev-idp"]["webhook.secret"], all["identity-relay"]["webhook.secrets"])
	require.Equal(t, all["dev-idp"]["console.secret"], all["console"]["oidc-client.secret"])
}

func TestGenerate_NATSReadsItsUsers(t *testing.T) {
	t.Parallel()
	secrets, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: filepath.Join(t.TempDir(), "dev.json")})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "users.conf")
	require.NoError(t, os.WriteFile(path, []byte(byName(secrets)["nats-users"]["users.conf"]), 0o600))
	options, err := server.ProcessConfigFile(path)
	require.NoError(t, err)
	require.Len(t, options.Nkeys, len(streams.Users))
	for i, user := range streams.Users {
		require.Equal(t, streams.PermissionsOf(user).Publish, options.Nkeys[i].Permissions.Publish.Allow, user)
		require.Equal(t, streams.PermissionsOf(user).Subscribe, options.Nkeys[i].Permissions.Subscribe.Allow, user)
	}
}

func TestDatabasesCommand_ProvisionsAgainAndAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	admin := identitytest.AdminURL(t)
	file, url := filepath.Join(dir, "databases.json"), filepath.Join(dir, "admin-url")
	require.NoError(t, os.WriteFile(url, []byte(admin), 0o600))
	secrets, err := credentials.Generate(credentials.Options{Overlay: overlay(t, "dev"), File: filepath.Join(dir, "dev.json")})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(byName(secrets)["databases"]["databases.json"]), 0o600))
	for range 2 {
		var out bytes.Buffer
		require.NoError(t, (&credentials.DatabasesCommand{File: file, URLFile: url, Wait: time.Minute}).Run(t.Context(), &out))
		require.Contains(t, out.String(), "database token_exchange: owned by token_exchange_migrator, used by token_exchange_runtime")
	}
}

func TestCommand_PrintsSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, (&credentials.Command{Overlay: "dev", StateDir: t.TempDir()}).Run(t.Context(), &out))
	require.Contains(t, out.String(), "kind: Secret")
	require.NotContains(t, out.String(), "PRIVATE KEY", "values are encoded")
	require.ErrorContains(t, (&credentials.Command{Overlay: "staging"}).Run(t.Context(), &out), `no overlay "staging"`)
}
