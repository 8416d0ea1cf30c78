// Package e2e walks the golden journey against the whole system.
package e2e

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
)

// TestJourney is `shadowless demo` with an IdP that keeps its promises and with
// one that behaves as it was observed to.
func TestJourney(t *testing.T) {
	t.Parallel()
	for _, as := range []string{devstack.Promised, devstack.Observed} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			system := start(t, as)
			var told bytes.Buffer
			walk, err := journey.New(&system.Running, &told)
			require.NoError(t, err)
			require.NoError(t, walk.Walk(ctx), told.String())
			require.Contains(t, told.String(), "all as described")
			t.Log("\n" + told.String())
		})
	}
}

// start brings up a system of the test's own.
func start(t *testing.T, as string) *devstack.Stack {
	t.Helper()
	// Not t.TempDir: as root, Postgres runs as another user, who must get in.
	dir, err := os.MkdirTemp("", "shadowless-e2e-")
	require.NoError(t, err)
	ports, release, err := devstack.FreePorts()
	require.NoError(t, err)
	t.Cleanup(release)
	stack, err := devstack.Start(context.Background(), devstack.Config{StateDir: dir, As: as, Ports: ports, SkipFsync: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, stack.Stop())
		require.NoError(t, os.RemoveAll(dir))
	})
	return stack
}
