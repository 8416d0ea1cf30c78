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
			requireIdPBackAfterAnInterruption(t, &system.Running)
			t.Log("\n" + told.String())
		})
	}
}

// requireIdPBackAfterAnInterruption breaks a walk off while it has the IdP
// stopped.
func requireIdPBackAfterAnInterruption(t *testing.T, system *devstack.Running) {
	t.Helper()
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	told := &interrupting{at: "stop the IdP", interrupt: interrupt}
	walk, err := journey.New(system, told)
	require.NoError(t, err)
	require.ErrorIs(t, walk.Walk(ctx), context.Canceled)
	require.NotContains(t, told.String(), "sign in again")
	_, err = journey.SignIn(context.Background(), system, devstack.DemoUsers[0].Email, devstack.DemoUsers[0].Password)
	require.NoError(t, err, "the IdP was started again")
}

// interrupting cancels when a line of the walk names the step.
type interrupting struct {
	bytes.Buffer
	at        string
	interrupt func()
}

func (i *interrupting) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(i.at)) {
		i.interrupt()
	}
	return i.Buffer.Write(line)
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
