package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// TestClientsApply makes a running service's clients what a file says.
func TestClientsApply(t *testing.T) {
	t.Parallel()
	s, _ := running(t)
	ctx := t.Context()
	write := func(name, content string) { require.NoError(t, os.WriteFile(s.made(name), []byte(content), 0o600)) }
	key, err := api.GenerateKey("test")
	require.NoError(t, err)
	write("reports.key", key.Reveal()+"\n")
	const workload = `[{issuer: "https://k8s.example", subject: "system:serviceaccount:shop:reports"}]`
	write("clients.yaml", `clients:
- {id: reports, audiences: {billing: {scopes: ["billing:read"]}}, workloads: `+workload+`, key_files: [reports.key]}
- {id: orders, name: Orders, audiences: {billing: {scopes: ["billing:read", "billing:write"]}}}
`)
	const apply = "shadowless clients apply -f clients.yaml"
	changes := "+ reports\n+ reports: key " + key.ID() + "\n" +
		`~ orders: audiences: {"billing":{"scopes":["billing:read"]}} -> {"billing":{"scopes":["billing:read","billing:write"]}}` + "\n" +
		`~ orders: name: + "Orders"` + "\n"
	require.Equal(t, changes, s.must(apply+" --dry-run"))
	_, err = s.admin.Client(ctx, "reports")
	require.Error(t, err, "a dry run changes nothing")
	require.Equal(t, changes, s.must(apply))
	require.Equal(t, http.StatusOK, s.works("reports", "reports.key"))
	require.Equal(t, "Nothing changes.\n", s.must(apply))
	many, err := s.admin.Client(ctx, "many")
	require.NoError(t, err, "who is not in the file stays")
	require.Equal(t, registrations[2].Audiences, many.Audiences)

	// A block and a revocation are no part of a registration.
	s.must(`shadowless clients block reports "under test"`)
	s.must("shadowless keys revoke reports " + key.ID())
	require.Equal(t, "Nothing changes.\n", s.must(apply))
	reports, err := s.admin.Client(ctx, "reports")
	require.NoError(t, err)
	require.True(t, reports.Blocked)
	require.Equal(t, http.StatusUnauthorized, s.works("reports", "reports.key"))
	s.must("shadowless clients unblock reports")
	require.Equal(t, http.StatusUnauthorized, s.works("reports", "reports.key"), "it is revoked still")
	require.Contains(t, s.must("shadowless keys status reports.key"), "is revoked.")

	for name, bad := range map[string]struct{ file, says string }{
		"a workload that is another client": {"- {id: other, workloads: " + workload + "}", "workload-taken: One of the workloads belongs to another client."},
		"a plan that there is not":          {"- {id: other, plan: gone}", "invalid-client"},
		"a key of another client":           {"- {id: other, key_files: [reports.key]}", "key-taken"},
		"a key file that is not there":      {"- {id: other, key_files: [absent.key]}", "absent.key"},
		"a member that nobody knows":        {"- {id: other, colour: red}", "colour"},
	} {
		write("clients.yaml", "clients:\n"+bad.file+"\n")
		out, err := s.run(apply)
		require.Error(t, err, name)
		require.Contains(t, out, bad.says, name)
		require.NotContains(t, out, key.Reveal(), name)
	}
}

// TestKeysList shows what is to be rotated.
func TestKeysList(t *testing.T) {
	t.Parallel()
	s, _ := running(t)
	_, err := s.Database.Owner.Exec(t.Context(), "UPDATE api_keys SET created_at = now() - interval '91 days' WHERE client_id = 'orders'")
	require.NoError(t, err)
	old, err := api.ParseKey(s.Keys["orders"])
	require.NoError(t, err)
	all := s.must("shadowless keys list")
	overdue := s.must("shadowless keys list --overdue")
	for client, text := range s.Keys {
		key, err := api.ParseKey(text)
		require.NoError(t, err)
		require.Contains(t, all, key.ID(), client)
		require.Equal(t, client == "orders", strings.Contains(overdue, key.ID()), client)
		require.NotContains(t, all, text)
	}
	require.Contains(t, overdue, old.ID()+"  active, too old: rotate it")
	require.NotContains(t, s.must("shadowless keys list many"), old.ID())
	out, err := s.run("shadowless keys list nobody")
	require.Error(t, err)
	require.Contains(t, out, "not-found")
}
