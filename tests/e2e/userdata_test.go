package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/gobuild"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// TestUserData runs the three commands that stand in for a users table against
// the whole system: an orphan is found, given the ID of the person it belongs
// to, and stands in that person's export.
func TestUserData(t *testing.T) {
	t.Parallel()
	const orphan = "old-idp|nobody knows"
	ctx := context.Background()
	system := start(t, devstack.Observed)
	person, err := journey.SignIn(ctx, &system.Running, devstack.DemoUsers[0].Email, devstack.DemoUsers[0].Password)
	require.NoError(t, err)
	command := filepath.Join(t.TempDir(), "shadowless")
	out, err := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, gobuild.Flags(), []string{"-o", command, "../../cmd/shadowless"})...).CombinedOutput() //nolint:gosec // this repository's own command
	require.NoError(t, err, string(out))
	run := func(into any, args ...string) error {
		t.Helper()
		var stdout, stderr bytes.Buffer
		c := exec.CommandContext(ctx, command, append(args, "--state-dir", system.Running.StateDir)...) //nolint:gosec // built above
		c.Stdout, c.Stderr = &stdout, &stderr
		failed := c.Run()
		require.NoError(t, json.Unmarshal(stdout.Bytes(), into), "%s\n%s", stdout.String(), stderr.String())
		return failed
	}
	insert(t, &system.Running, devstack.Orders, `INSERT INTO idempotency_keys (user_id, tenant_id, operation, key, request_hash)
		VALUES ($1, 'acme', 'place', 'k', sha256('x'))`, orphan)

	var audit struct {
		api.OrphanAudit
		Findings []api.Orphan `json:"findings"`
	}
	require.NoError(t, run(&audit, "audit", "orphans", "--json"))
	require.Len(t, audit.Holders, 5)
	require.Len(t, audit.Findings, 1)
	require.Empty(t, audit.Findings[0].UserID)
	require.NoError(t, run(&audit, "audit", "orphans", "--json", "--show-ids"))
	require.Equal(t, userids.Encode(orphan), audit.Findings[0].UserID)
	require.Equal(t, "orders", audit.Findings[0].Holder)

	var dry, done api.Rekeying
	require.NoError(t, run(&dry, "rekey", orphan, person.ID, "--dry-run", "--json"))
	require.Equal(t, "dry_run", dry.State)
	require.NoError(t, run(&done, "rekey", orphan, person.ID, "--json"))
	require.Equal(t, "complete", done.State)
	require.Len(t, done.Answers, 5)
	audit.Findings = nil
	require.NoError(t, run(&audit, "audit", "orphans", "--json"))
	require.Empty(t, audit.Findings)
	found, err := devstack.Scan(ctx, &system.Running, orphan)
	require.NoError(t, err)
	require.Empty(t, found, "no database, stream or bucket holds the old ID")

	insert(t, &system.Running, devstack.Console, `INSERT INTO sessions (id, user_id, tokens, created_at, seen_at, expires_at)
		VALUES (sha256('cookie'), $1, 'sealed', now(), now(), now() + interval '1 hour')`, person.ID)

	var document struct {
		UserID   string `json:"user_id"`
		Complete bool   `json:"complete"`
		Data     []struct {
			Participant, Table string
			Rows               []map[string]any
		}
	}
	require.NoError(t, run(&document, "export", person.ID))
	require.True(t, document.Complete)
	require.Equal(t, person.ID, document.UserID)
	rows := map[string]int{}
	for _, part := range document.Data {
		rows[part.Participant+" "+part.Table] += len(part.Rows)
		for _, row := range part.Rows {
			require.NotContains(t, row, "tokens", "secrets stay")
		}
	}
	require.Equal(t, 1, rows["console sessions"])
	require.Positive(t, rows["token-exchange audit"])
	require.Equal(t, 1, rows["orders idempotency_keys"], "what was the orphan's")

	require.NoError(t, system.Running.StopService(ctx, devstack.Billing))
	require.Error(t, run(&document, "export", person.ID), "an export that lacks a part says so")
	require.False(t, document.Complete)
}

func insert(t *testing.T, system *devstack.Running, service, statement string, args ...any) {
	t.Helper()
	url, err := config.ReadSecretFile(system.SecretFile(devstack.DatabaseName(service) + "_migrator.url"))
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // the test is over
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}
