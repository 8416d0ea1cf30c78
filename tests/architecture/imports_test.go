package architecture_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/architecture"
)

func TestImports(t *testing.T) {
	t.Parallel()
	all := graph(t)
	require.Empty(t, architecture.ServiceImports(all))
	require.Empty(t, architecture.SharedImports(all))
	require.Empty(t, architecture.GuardedImports(all))
	require.Empty(t, architecture.ComparisonImports(all))
	require.Empty(t, architecture.ModuleImports(all))
	require.Empty(t, architecture.KitImports(all))
}

// ListPackages must see edges of tests too, and of every module.
func TestListPackages_ReadsEveryModule(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range graph(t) {
		seen[p.ImportPath] = true
	}
	for _, path := range []string{"/pkg/authn", "/pkg/identity/mailbox", "/services/orders", "/internal/access"} {
		require.True(t, seen[architecture.Root+path], path)
	}
}

func TestImportRules_FindPlantedEdges(t *testing.T) {
	t.Parallel()
	const r = architecture.Root
	for name, c := range map[string]struct {
		rule     func([]architecture.Package) []error
		from, to string
		allowed  bool
	}{
		"another service's root":             {architecture.ServiceImports, r + "/services/orders", r + "/services/billing", false},
		"another service's store":            {architecture.ServiceImports, r + "/services/orders/internal/store", r + "/services/billing/internal/store", false},
		"another service's api":              {architecture.ServiceImports, r + "/services/orders/invoicing", r + "/services/billing/api", true},
		"its own rooms":                      {architecture.ServiceImports, r + "/services/orders", r + "/services/orders/internal/store", true},
		"a service of shared code":           {architecture.SharedImports, r + "/internal/mesh", r + "/services/orders", false},
		"an api of shared code":              {architecture.SharedImports, r + "/internal/credentials", r + "/services/token-exchange/api", true},
		"a service of the command":           {architecture.SharedImports, r + "/cmd/shadowless", r + "/services/orders", true},
		"a service's domain in tests":        {architecture.GuardedImports, r + "/tests/e2e", r + "/services/orders/domain", false},
		"a service's transport elsewhere":    {architecture.GuardedImports, r + "/services/console", r + "/services/billing/transport", false},
		"a service's domain in the command":  {architecture.GuardedImports, r + "/cmd/shadowless", r + "/services/billing/domain", false},
		"a service's domain in compare-like": {architecture.GuardedImports, r + "/comparedto", r + "/services/billing/domain", false},
		"a service's domain in itself":       {architecture.GuardedImports, r + "/services/orders", r + "/services/orders/domain", true},
		"a service's domain in compare":      {architecture.GuardedImports, r + "/compare/orders/store", r + "/services/orders/domain", true},
		"a service's root in tests":          {architecture.GuardedImports, r + "/tests/e2e", r + "/services/orders", true},
		"what a service gives to tests":      {architecture.GuardedImports, r + "/tests/e2e", r + "/services/token-exchange/tokenexchangetest", true},
		"a service's api in tests":           {architecture.GuardedImports, r + "/tests/e2e", r + "/services/orders/api", true},
		"compare in a service":               {architecture.ComparisonImports, r + "/services/orders", r + "/compare/users", false},
		"compare in shared code":             {architecture.ComparisonImports, r + "/internal/devstack", r + "/compare/orders", false},
		"compare in the command":             {architecture.ComparisonImports, r + "/cmd/shadowless", r + "/compare/harness", true},
		"the root of pkg/identity":           {architecture.ModuleImports, r + "/pkg/identity/mailbox", r + "/internal/streams", false},
		"a service of pkg/identity":          {architecture.ModuleImports, r + "/pkg/identity", r + "/services/orders/api", false},
		"the root of pkg/authn":              {architecture.ModuleImports, r + "/pkg/authn", r + "/internal/config", false},
		"pkg/identity of pkg/authn":          {architecture.ModuleImports, r + "/pkg/authn/gokit", r + "/pkg/identity", false},
		"pkg/authn of pkg/identity":          {architecture.ModuleImports, r + "/pkg/identity/revocation", r + "/pkg/authn", true},
		"a library of pkg/authn":             {architecture.ModuleImports, r + "/pkg/authn", "github.com/golang-jwt/jwt/v5", true},
		"go-kit's jwt":                       {architecture.KitImports, r + "/internal/kit", "github.com/go-kit/kit/auth/jwt", false},
		"go-kit's NATS transport":            {architecture.KitImports, r + "/services/orders", "github.com/go-kit/kit/transport/nats", false},
		"go-kit's log":                       {architecture.KitImports, r + "/internal/kit", "github.com/go-kit/log", false},
		"go-kit's endpoint":                  {architecture.KitImports, r + "/internal/kit", "github.com/go-kit/kit/endpoint", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range []architecture.Package{
				{ImportPath: c.from, Imports: []string{c.to}},
				{ImportPath: c.from, TestImports: []string{c.to}},
				{ImportPath: c.from, XTestImports: []string{c.to}},
			} {
				faults := c.rule([]architecture.Package{p})
				if c.allowed {
					require.Empty(t, faults)
				} else {
					requireFault(t, faults, c.from+" imports "+c.to)
				}
			}
		})
	}
}

// A planted package is found by go list itself, not only by the rule.
func TestListPackages_FindsAPlantedPackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, content := range map[string]string{
		"go.mod":                "module " + architecture.Root + "\n\ngo 1.26.0\n",
		"pkg/authn/x.go":        "package authn\n\nimport _ \"" + architecture.Root + "/internal/config\"\n",
		"pkg/identity/x.go":     "package identity\n",
		"internal/config/x.go":  "package config\n",
		"services/orders/x.go":  "package orders\n\nimport _ \"" + architecture.Root + "/services/billing\"\n",
		"services/billing/x.go": "package billing\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755)) //nolint:gosec // a temporary folder
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600))
	}
	all, err := architecture.ListPackages(t.Context(), dir)
	require.NoError(t, err)
	requireFault(t, architecture.ServiceImports(all), "services/orders imports")
	requireFault(t, architecture.ModuleImports(all), "pkg/authn imports")
}
