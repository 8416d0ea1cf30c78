package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/gobuild"
	"github.com/shadowless/shadowless/tests/docs"
)

// runsHere marks the blocks of start.md and operations.md in docs that run
// against the whole system.
const runsHere = "run by tests/e2e.TestDocuments_CommandsRunAsTheyStandThere"

// TestDocuments_CommandsRunAsTheyStandThere runs what an operator is told to do
// every day against a system on which a user has just ordered.
func TestDocuments_CommandsRunAsTheyStandThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	system := start(t, devstack.Promised)
	bin := t.TempDir()
	out, err := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, gobuild.Flags(), []string{"-o", filepath.Join(bin, "shadowless"), "../../cmd/shadowless"})...).CombinedOutput() //nolint:gosec // this repository's own command
	require.NoError(t, err, string(out))
	documents, err := docs.Read("../..")
	require.NoError(t, err)
	ran := map[string]int{}
	for _, d := range documents {
		for _, b := range d.Blocks {
			if b.Mark != runsHere {
				continue
			}
			ran[d.Path]++
			// What is compiled already need not be compiled again.
			script := strings.ReplaceAll(b.Text, "go run ./cmd/shadowless", "shadowless")
			sh := exec.CommandContext(ctx, "sh", "-eu", "-c", script) //nolint:gosec // from our own documents
			sh.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "SHADOWLESS_STATE_DIR="+system.Running.StateDir)
			out, err := sh.CombinedOutput()
			require.NoError(t, err, "%s:%d\n%s", d.Path, b.Line, out)
		}
	}
	require.Equal(t, map[string]int{"docs/start.md": 1, "docs/operations.md": 3}, ran)
}
