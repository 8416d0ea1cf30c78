package devstack_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
)

// stateDir is a folder that the private Postgres can reach when the tests run
// as root; t.TempDir is closed to it.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "devstack-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestStart_BringsEverythingUpAndFindsItsDataAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ports, release, err := devstack.FreePorts()
	require.NoError(t, err)
	t.Cleanup(release)
	cfg := devstack.Config{StateDir: stateDir(t), Ports: ports, SkipFsync: true}
	for range 2 {
		stack, err := devstack.Start(ctx, cfg)
		require.NoError(t, err)
		running, err := devstack.FindRunning(ctx, cfg.StateDir)
		require.NoError(t, err)
		require.Equal(t, ports, running.Ports)
		require.NoError(t, running.StopService(ctx, devstack.DevIDP))
		require.NoError(t, running.StartService(ctx, devstack.DevIDP))
		require.ErrorContains(t, running.StopService(ctx, "nothing"), "no such service")
		release, err := running.Reserve()
		require.NoError(t, err)
		_, err = running.Reserve()
		require.ErrorIs(t, err, devstack.ErrReserved)
		require.NoError(t, release())
		require.NoError(t, stack.Stop())
		_, err = devstack.FindRunning(ctx, cfg.StateDir)
		require.ErrorIs(t, err, devstack.ErrNotRunning)
		require.NoError(t, ports.InUse(), "everything was let go")
	}
}

func TestStart_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for says, cfg := range map[string]devstack.Config{
		"not as":              {As: "hoped"},
		"no such service":     {Without: []string{"order"}},
		"only if every":       {Without: []string{devstack.NATS, devstack.Orders}},
		"must look like":      {DatabaseURL: "host=127.0.0.1 password=hidden"},
		"too long":            {StateDir: filepath.Join(t.TempDir(), strings.Repeat("x", 100))},
		"must be an absolute": {StateDir: "state"},
	} {
		_, err := devstack.Start(ctx, cfg)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "hidden")
	}
}

func TestSummary_SaysWhereAnExistingServerIs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	devstack.Summary(&out, devstack.Running{Ports: devstack.DefaultPorts(), Database: "db.example.com:5432"}, time.Second)
	require.Contains(t, out.String(), "db.example.com:5432")
	require.NotContains(t, out.String(), "8432")
}
