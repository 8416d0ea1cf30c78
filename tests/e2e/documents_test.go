package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/gobuild"
	"github.com/shadowless/shadowless/internal/journey"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
	"github.com/shadowless/shadowless/tests/docs"
)

// runsHere marks the blocks of documents that run against the whole system.
const runsHere = "run by tests/e2e.TestDocuments_CommandsRunAsTheyStandThere"

// runningBlocks says how many of each document these are.
var runningBlocks = map[string]int{"docs/identity.md": 3, "docs/operations.md": 6, "docs/start.md": 2}

// TestDocuments_CommandsRunAsTheyStandThere runs what an operator is told to do
// against a system on which a user has just ordered.
func TestDocuments_CommandsRunAsTheyStandThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	system := start(t, devstack.Promised)
	bin := t.TempDir()
	out, err := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, gobuild.Flags(), []string{"-o", filepath.Join(bin, "shadowless"), "../../cmd/shadowless"})...).CombinedOutput() //nolint:gosec // this repository's own command
	require.NoError(t, err, string(out))
	list, err := docs.Read("../..")
	require.NoError(t, err)
	env := slices.Concat(os.Environ(), variables(t, &system.Running),
		[]string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "SHADOWLESS_STATE_DIR=" + system.Running.StateDir})
	ran, did, folder := map[string]int{}, map[string]bool{}, t.TempDir()
	for _, d := range list {
		for _, b := range d.Blocks {
			if b.Mark != runsHere {
				continue
			}
			ran[d.Path]++
			// What is compiled already need not be compiled again.
			script := strings.ReplaceAll(b.Text, "go run ./cmd/shadowless", "shadowless")
			if allDone(did, script) {
				continue
			}
			sh := exec.CommandContext(ctx, "sh", "-eu", "-c", script) //nolint:gosec // from our own documents
			sh.Env, sh.Dir = env, folder
			out, err := sh.CombinedOutput()
			require.NoError(t, err, "%s:%d\n%s", d.Path, b.Line, out)
		}
	}
	require.Equal(t, runningBlocks, ran)
	exported, err := os.ReadFile(filepath.Join(folder, "alice.json"))
	require.NoError(t, err)
	require.Contains(t, string(exported), `"complete": true`)
	found, err := devstack.Scan(ctx, &system.Running, "old-idp|1")
	require.NoError(t, err)
	require.Empty(t, found, "nothing has the old ID any more")
}

// allDone says whether every line has run before, and notes those that had not.
// Repeating the refusals in the same minute would show the limit on failures, which
// is on purpose.
func allDone(did map[string]bool, script string) bool {
	done := true
	for line := range strings.Lines(script) {
		command, _, _ := strings.Cut(line, " #")
		command = strings.TrimSpace(command)
		done = done && did[command]
		did[command] = true
	}
	return done
}

// variables are those that the documents say their commands need.
func variables(t *testing.T, system *devstack.Running) []string {
	t.Helper()
	ctx := context.Background()
	person, err := journey.SignIn(ctx, system, devstack.DemoUsers[0].Email, devstack.DemoUsers[0].Password)
	require.NoError(t, err)
	shop, err := ordersapi.NewClient(system.Ports.URL(devstack.Orders), http.DefaultClient)
	require.NoError(t, err)
	_, err = shop.Place(ctx, person.Token, uuid.NewString(), ordersapi.NewOrder{
		Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: 100_00}},
	})
	require.NoError(t, err)
	insert(t, system, devstack.Orders, `INSERT INTO idempotency_keys (user_id, tenant_id, operation, key, request_hash)
		VALUES ($1, 'acme', 'place', 'k', sha256('x'))`, "old-idp|1")
	operator, err := journey.Operator(system, relayapi.Audience, relayapi.Scope)
	require.NoError(t, err)
	relay, err := relayapi.NewClient(system.Ports.URL(devstack.IdentityRelay), operator)
	require.NoError(t, err)
	audit, err := relay.StartOrphanAudit(ctx, relayapi.OrphanAuditRequest{})
	require.NoError(t, err)
	rekeying, err := relay.Rekey(ctx, "old-idp|2", person.ID, relayapi.RekeyRequest{})
	require.NoError(t, err)
	return []string{
		"USER_ID=" + person.ID, "AUDIT=" + audit.ID, "OLD=old-idp|1", "NEW=" + person.ID, "REKEYING=" + rekeying.ID, "REPLICAS=1",
	}
}
