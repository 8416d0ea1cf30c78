package devstack_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
)

func TestOpenState_IsTakenByOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, release, err := devstack.OpenState(dir, false)
	require.NoError(t, err)
	_, _, err = devstack.OpenState(dir, false)
	require.ErrorIs(t, err, devstack.ErrLocked)
	require.NoError(t, release())
	_, release, err = devstack.OpenState(dir, false)
	require.NoError(t, err)
	require.NoError(t, release())
}

func TestOpenState_FreshForgetsItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "thesis.txt")
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
	state, release, err := devstack.OpenState(dir, false)
	require.NoError(t, err)
	_, first, err := state.Secret("a", devstack.RandomSecret)
	require.NoError(t, err)
	_, again, err := state.Secret("a", devstack.RandomSecret)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NoError(t, release())

	state, release, err = devstack.OpenState(dir, true)
	require.NoError(t, err)
	_, other, err := state.Secret("a", devstack.RandomSecret)
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	require.FileExists(t, mine)
	require.NoError(t, release())
}

func TestOpenState_RefusesARelativeFolder(t *testing.T) {
	t.Parallel()
	_, _, err := devstack.OpenState("state", false)
	require.ErrorContains(t, err, "absolute")
}

func TestPorts_NamesEachThatIsInUse(t *testing.T) {
	t.Parallel()
	ports, release, err := devstack.FreePorts()
	require.NoError(t, err)
	t.Cleanup(release)
	require.NoError(t, ports.InUse())
	l, err := net.Listen("tcp", ports.Address(devstack.Billing))
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	require.ErrorContains(t, ports.InUse(), "billing")
	require.NoError(t, ports.InUse(devstack.Billing))
}
