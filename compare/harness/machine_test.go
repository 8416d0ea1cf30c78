package harness

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMachine_SaysWhatItIs(t *testing.T) {
	t.Parallel()
	m := machine(t.Context())
	require.Positive(t, m.Processors)
	require.Positive(t, m.Memory)
	require.NotEmpty(t, m.System)
	require.Empty(t, fieldOf("/proc/meminfo", "nothing"))
	require.Empty(t, fieldOf("/proc/no such file", "MemTotal"))
}

func TestRevision_IsShortAndSaysWhetherItWasChanged(t *testing.T) {
	t.Parallel()
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	require.Equal(t, "0123456789ab", revision([]debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}))
	require.Equal(t, "0123456789ab with changes", revision([]debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}))
	require.Empty(t, revision(nil))
}
