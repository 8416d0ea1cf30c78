package architecture_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/tests/architecture"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	tree := os.DirFS(root)
	require.Empty(t, architecture.LongMains(tree))
	require.Empty(t, architecture.LongFiles(tree))
	require.Empty(t, architecture.DrawerFolders(tree))
	require.Empty(t, architecture.MissingRooms(tree, architecture.Services))
}

func file(lines int) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(strings.Repeat("//\n", lines))}
}

func TestLongFilesAndMains_AreFound(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"services/orders/cmd/orders/main.go":   file(architecture.MaxMainLines),
		"services/billing/cmd/billing/main.go": file(architecture.MaxMainLines + 1),
		"internal/x/long.go":                   file(architecture.MaxFileLines + 1),
		"internal/x/testdata/long.go":          file(architecture.MaxFileLines + 1),
		"internal/x/short.go":                  file(architecture.MaxFileLines),
	}
	mains := architecture.LongMains(tree)
	require.Len(t, mains, 1)
	requireFault(t, mains, "services/billing/cmd/billing/main.go has 41 lines")
	files := architecture.LongFiles(tree)
	require.Len(t, files, 1)
	requireFault(t, files, "internal/x/long.go has 501 lines")
}

func TestDrawerFolders_AreFound(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "shared"} {
		tree := fstest.MapFS{"internal/" + name + "/x.go": file(1), "internal/commonplace/x.go": file(1)}
		faults := architecture.DrawerFolders(tree)
		require.Len(t, faults, 1, name)
		requireFault(t, faults, "folder internal/"+name)
	}
}

func TestMissingRooms_AreFound(t *testing.T) {
	t.Parallel()
	whole := func() fstest.MapFS {
		tree := fstest.MapFS{}
		for _, room := range []string{"config.go", "run.go", "access.go", "openapi.yaml", "manifest.yaml", "cmd/orders/main.go"} {
			tree["services/orders/"+room] = file(1)
		}
		return tree
	}
	require.Empty(t, architecture.MissingRooms(whole(), []string{"orders"}))
	for room := range whole() {
		tree := whole()
		delete(tree, room)
		requireFault(t, architecture.MissingRooms(tree, []string{"orders"}), strings.TrimPrefix(room, "services/orders/"))
	}
	tree := whole()
	tree["services/accounts/run.go"] = file(1)
	requireFault(t, architecture.MissingRooms(tree, []string{"orders"}), "services/accounts is not in the list")
}

func tables() map[string]access.Table {
	return map[string]access.Table{
		"orders": orders.Access(), "billing": billing.Access(), "token-exchange": tokenexchange.Access(),
		"identity-relay": identityrelay.Access, "console": console.Access(),
	}
}

func patterns(table access.Table) []string {
	var all []string
	for _, route := range table.Routes {
		all = append(all, route.Pattern)
	}
	return all
}

func TestRoutes_AreThoseOfTheDocuments(t *testing.T) {
	t.Parallel()
	for service, table := range tables() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join(root, "services", service, "openapi.yaml"))
			require.NoError(t, err)
			documented, err := architecture.DocumentedRoutes(t.Context(), raw)
			require.NoError(t, err)
			routes := patterns(table)
			if service == "console" {
				routes = architecture.APIRoutes(routes)
			}
			require.Empty(t, architecture.RouteDifferences(service, routes, documented))
		})
	}
}

func TestRouteDifferences_AreFound(t *testing.T) {
	t.Parallel()
	documented, err := architecture.DocumentedRoutes(t.Context(), []byte(`
openapi: 3.0.3
info: {title: x, version: "1"}
paths:
  /v1/orders:
    get: {responses: {"200": {description: all}}}
  /v1/refunds:
    post: {responses: {"200": {description: one}}}
  /readyz:
    get: {responses: {"200": {description: ready}}}
`))
	require.NoError(t, err)
	faults := architecture.RouteDifferences("orders", []string{"GET /v1/orders", "DELETE /v1/orders"}, documented)
	require.Len(t, faults, 2)
	requireFault(t, faults, `"DELETE /v1/orders" is in the access table and not in openapi.yaml`)
	requireFault(t, faults, `"POST /v1/refunds" is in openapi.yaml and not in the access table`)
	_, err = architecture.DocumentedRoutes(t.Context(), []byte("openapi: 3.0.3"))
	require.Error(t, err)
}
