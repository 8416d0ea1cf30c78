package devstack

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

func openState(t *testing.T) *State {
	t.Helper()
	state, release, err := OpenState(t.TempDir(), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, release()) })
	return state
}

// Another state directory would otherwise come up with databases whose contents
// it cannot open.
func TestProvision_RefusesAnotherStateDirectorysDatabases(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "devstack-") // not t.TempDir: root's server runs as another user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	server, err := localpostgres.Start(ctx, localpostgres.Config{Dir: dir, SkipFsync: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })

	mine, other := openState(t), openState(t)
	require.NoError(t, provision(ctx, mine, server.AdminURL()))
	require.NoError(t, provision(ctx, mine, server.AdminURL()), "again")
	require.ErrorIs(t, provision(ctx, other, server.AdminURL()), ErrOthersDatabases)
	require.NoError(t, provision(ctx, mine, server.AdminURL()), "the refusal changed nothing")
	require.NoError(t, forgetDatabases(ctx, server.AdminURL()))
	require.NoError(t, provision(ctx, other, server.AdminURL()))
}
