package devstack_test

import (
	"context"
	"os"
	"testing"

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
		require.NoError(t, stack.Stop())
		_, err = devstack.FindRunning(ctx, cfg.StateDir)
		require.ErrorIs(t, err, devstack.ErrNotRunning)
		require.NoError(t, ports.InUse(), "everything was let go")
	}
}
