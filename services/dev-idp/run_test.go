package devidp_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestRunRefusesOutsideDevelopment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  devidp.Config
		want error
	}{
		"production":         {devidp.Config{Common: config.Common{Environment: config.Production}, InsecureDevelopmentIDP: true}, devidp.ErrNotDevelopment},
		"no environment":     {devidp.Config{InsecureDevelopmentIDP: true}, devidp.ErrNotDevelopment},
		"without the switch": {devidp.Config{Common: config.Common{Environment: config.Development}}, devidp.ErrNotConfirmed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, devidp.Run(context.Background(), test.cfg, logger()), test.want)
		})
	}
}

// running is a service on a free port.
type running struct {
	url    string
	cancel context.CancelFunc
	done   chan error
}

func run(t *testing.T, cfg devidp.Config) running {
	t.Helper()
	bound := make(chan string, 1)
	cfg.Common = config.Common{
		Environment: config.Development, InsecurePlainHTTP: true, ListenAddress: "127.0.0.1:0", ShutdownTimeout: 5 * time.Second,
		Ready: func(addr string) { bound <- addr },
	}
	cfg.InsecureDevelopmentIDP = true
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := running{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- devidp.Run(ctx, cfg, logger()) }()
	r.url = "http://" + <-bound
	return r
}

func (r running) stop() error {
	r.cancel()
	return <-r.done
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec // a test's own server
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestRunMigratesSeedsServesAndStops(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t)
	service := run(t, devidp.Config{
		Seed: true, DatabaseURLFile: write(t, "url", db.URL), MigrationDatabaseURLFile: write(t, "migrator", db.OwnerURL),
	})
	require.Eventually(t, func() bool { status, _ := get(t, service.url+"/readyz"); return status == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
	status, body := get(t, service.url+"/api/auth/.well-known/openid-configuration")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"issuer":"http://127.0.0.1:8405"`)
	status, body = get(t, service.url+"/.well-known/openid-configuration")
	require.Equal(t, http.StatusNotFound, status)
	require.True(t, strings.HasPrefix(body, "<!DOCTYPE html>"), body)
	var users int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM users`).Scan(&users))
	require.Equal(t, 4, users)
	require.NoError(t, service.stop())
}

func TestRunWaitsForItsDatabaseAndSaysSo(t *testing.T) {
	t.Parallel()
	service := run(t, devidp.Config{DatabaseURLFile: write(t, "url", "postgres://nobody@127.0.0.1:1/none")})
	status, body := get(t, service.url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "database")
	status, body = get(t, service.url+"/api/auth/jwks")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "starting")
	require.NoError(t, service.stop())
}

func TestRunEndsWhenWaitingCannotHelp(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t) // without the tables, and nothing that makes them
	service := run(t, devidp.Config{DatabaseURLFile: write(t, "url", db.URL)})
	require.ErrorContains(t, <-service.done, "signing_keys")
}
