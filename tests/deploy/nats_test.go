package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	corev1 "k8s.io/api/core/v1"

	"github.com/shadowless/shadowless/internal/streams"
)

// The cluster's own NATS configuration, with the generated users and
// certificates, starts a server that lets a service in and a stranger not.
// Not parallel: the configuration reads an environment variable.
func TestNATS_StartsFromTheManifests(t *testing.T) {
	t.Setenv("POD_NAME", "nats-0")
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	secret := map[string]map[string][]byte{}
	var configuration string
	for _, o := range decode(t, manifests(t, "dev")).Objects {
		switch o := o.(type) {
		case *corev1.Secret:
			secret[o.Name] = o.Data
		case *corev1.ConfigMap:
			if text, ok := o.Data["nats.conf"]; ok {
				configuration = text
			}
		}
	}
	for name, content := range secret["nats-tls"] {
		write(name, content)
	}
	write("users.conf", secret["nats-users"]["users.conf"])
	moved := strings.NewReplacer("/run/tls/", dir+"/", "store_dir: /data", "store_dir: "+filepath.Join(dir, "data"),
		"0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:8222", "127.0.0.1:-1")
	options, err := server.ProcessConfigFile(write("nats.conf", []byte(moved.Replace(configuration))))
	require.NoError(t, err)
	require.Equal(t, "nats-0", options.ServerName)
	require.True(t, options.JetStream)
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(secret["authority"]["ca.crt"]))
	connect := func(seed string) (*nats.Conn, error) {
		key, err := nats.NkeyOptionFromSeed(seed)
		require.NoError(t, err)
		return nats.Connect(s.ClientURL(), key, nats.CustomInboxPrefix(streams.InboxPrefix("orders")),
			nats.Secure(&tls.Config{RootCAs: roots, ServerName: "nats", MinVersion: tls.VersionTLS12}))
	}
	conn, err := connect(write("orders.nk", secret["orders"]["nats.nk"]))
	require.NoError(t, err)
	conn.Close()

	stranger, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := stranger.Seed()
	require.NoError(t, err)
	_, err = connect(write("stranger.nk", seed))
	require.ErrorIs(t, err, nats.ErrAuthorization)
}
