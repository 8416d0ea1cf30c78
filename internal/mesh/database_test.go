package mesh

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func probe(address, path string) (status int, body string) {
	res, err := http.Get("http://" + address + path) //nolint:noctx // a test
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close() //nolint:errcheck // read whole
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(raw)
}

// A database that is down keeps a service waiting; it must not keep it silent.
func TestMigrate_WaitsForTheDatabaseAndSaysSo(t *testing.T) {
	t.Parallel()
	sets := []migrate.Set{{Name: "notes", FS: fstest.MapFS{"00001_notes.sql": {Data: []byte(
		"-- +goose Up\nCREATE TABLE notes (id bigint);\n-- +goose Down\nDROP TABLE notes;\n",
	)}}}}
	urlFile := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(urlFile, []byte("postgres://x:y@"+closedAddress(t)+"/x"), 0o600))
	m := &Mesh{Name: "test", Logger: slog.New(slog.DiscardHandler), common: config.Common{
		ListenAddress: closedAddress(t), InsecurePlainHTTP: true, ShutdownTimeout: time.Second,
		Ready: func(string) { t.Error("it is not ready") },
	}}
	backends := config.Backends{MigrationDatabaseURLFile: urlFile}
	done := make(chan error, 1)
	go func() { done <- m.migrate(context.Background(), backends, sets) }()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		status, body := probe(m.common.ListenAddress, "/readyz")
		assert.Equal(c, http.StatusServiceUnavailable, status)
		assert.Contains(c, body, `"migrations"`)
	}, 10*time.Second, 10*time.Millisecond)
	status, _ := probe(m.common.ListenAddress, "/livez")
	require.Equal(t, http.StatusOK, status)
	status, body := probe(m.common.ListenAddress, "/v1/orders")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"unavailable"`)

	db := identitytest.Postgres(t)
	require.NoError(t, os.WriteFile(urlFile, []byte(db.OwnerURL), 0o600))
	require.NoError(t, <-done)
	_, err := db.Owner.Exec(context.Background(), "SELECT id FROM notes")
	require.NoError(t, err)
	status, _ = probe(m.common.ListenAddress, "/livez")
	require.Zero(t, status, "the address is free for the service itself")
}

func TestMigrate_EndsWhenItIsTold(t *testing.T) {
	t.Parallel()
	urlFile := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(urlFile, []byte("postgres://x:y@"+closedAddress(t)+"/x"), 0o600))
	m := &Mesh{Name: "test", Logger: slog.New(slog.DiscardHandler), common: config.Common{
		ListenAddress: "127.0.0.1:0", InsecurePlainHTTP: true, ShutdownTimeout: time.Second,
	}}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	err := m.migrate(ctx, config.Backends{MigrationDatabaseURLFile: urlFile}, []migrate.Set{{Name: "notes", FS: fstest.MapFS{}}})
	require.ErrorIs(t, err, context.Canceled)
}
