package architecture_test

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/credentials"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/tests/architecture"
)

// logins reads what a cluster's Secrets give each service.
func logins(t *testing.T, overlay string) []architecture.Login {
	t.Helper()
	o, err := credentials.OverlayNamed(overlay)
	require.NoError(t, err)
	secrets, err := credentials.Generate(credentials.Options{Overlay: o, File: filepath.Join(t.TempDir(), "credentials.json")})
	require.NoError(t, err)
	var all []architecture.Login
	for _, s := range secrets {
		for _, file := range []string{"database-url", "migration-database-url"} {
			raw, ok := s.Files[file]
			if !ok {
				continue
			}
			u, err := url.Parse(strings.TrimSpace(raw))
			require.NoError(t, err)
			all = append(all, architecture.Login{Where: overlay, Service: s.Name, Database: strings.TrimPrefix(u.Path, "/"), Role: u.User.Username()})
		}
	}
	return all
}

func TestLogins(t *testing.T) {
	t.Parallel()
	cluster := logins(t, "dev")
	require.Len(t, cluster, 2*len(architecture.Services))
	require.Empty(t, architecture.SharedLogins(cluster))

	var machine []architecture.Login
	for _, service := range devstack.WithDatabase {
		name := devstack.DatabaseName(service)
		for _, role := range []string{"_migrator", "_runtime"} {
			machine = append(machine, architecture.Login{Where: "one machine", Service: service, Database: name, Role: name + role})
		}
	}
	require.ElementsMatch(t, architecture.Services, devstack.WithDatabase)
	require.Empty(t, architecture.SharedLogins(machine))
}

func TestSharedLogins_AreFound(t *testing.T) {
	t.Parallel()
	good := logins(t, "dev")
	for name, c := range map[string]struct {
		plant func(l *architecture.Login)
		says  string
	}{
		"a database": {func(l *architecture.Login) { l.Database = "orders" }, "orders and billing share the database orders"},
		"a role":     {func(l *architecture.Login) { l.Role = "orders_runtime" }, "orders and billing share the role orders_runtime"},
		"no role":    {func(l *architecture.Login) { l.Role = "" }, "billing has no role"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			planted := slices.Clone(good)
			i := slices.IndexFunc(planted, func(l architecture.Login) bool { return l.Service == "billing" })
			c.plant(&planted[i])
			requireFault(t, architecture.SharedLogins(planted), c.says)
		})
	}
}
