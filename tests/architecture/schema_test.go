package architecture_test

import (
	_ "embed"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/tests/architecture"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const root = "../.."

//go:embed columns.yaml
var columnsFile []byte

// packages is the import graph; reading it takes a second.
var packages = sync.OnceValues(func() ([]architecture.Package, error) {
	return architecture.ListPackages(tContext(), root)
})

func graph(t *testing.T) []architecture.Package {
	t.Helper()
	all, err := packages()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// sets are the migrations that a service applies: those of the shared tables
// that it imports, then its own.
func sets(t *testing.T, service string) []migrate.Set {
	t.Helper()
	imports := map[string]bool{}
	for _, p := range graph(t) {
		if strings.HasPrefix(p.ImportPath, architecture.Root+"/services/"+service) {
			for _, i := range p.Imports {
				imports[strings.TrimPrefix(i, architecture.Root+"/")] = true
			}
		}
	}
	var all []migrate.Set
	if imports["pkg/identity/mailbox"] {
		all = append(all, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	}
	if imports["pkg/identity/participant"] {
		all = append(all, migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"})
	}
	if imports["internal/idempotency"] {
		all = append(all, idempotency.Migrations())
	}
	folders, err := filepath.Glob(filepath.Join(root, "services", service, "internal", "*", "migrations"))
	require.NoError(t, err)
	require.Len(t, folders, 1, "%s has one folder of migrations", service)
	return append(all, migrate.Set{Name: "own_" + strings.ReplaceAll(service, "-", "_"), FS: os.DirFS(folders[0])})
}

// schema of a service's migrated database, with what a test plants in it.
func schema(t *testing.T, service string, planted ...string) architecture.Schema {
	t.Helper()
	db := identitytest.Postgres(t, sets(t, service)...)
	for _, statement := range planted {
		_, err := db.Owner.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	s, err := architecture.ReadSchema(t.Context(), db.Owner, service)
	require.NoError(t, err)
	require.NotEmpty(t, s.Tables)
	return s
}

func manifest(t *testing.T, service string) *participant.Manifest {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "services", service, "manifest.yaml"))
	require.NoError(t, err)
	m, err := participant.ParseManifest(raw)
	require.NoError(t, err)
	return m
}

func notes(t *testing.T, s architecture.Schema) map[string]architecture.TableNotes {
	t.Helper()
	columns, err := architecture.ParseColumns(columnsFile)
	require.NoError(t, err)
	return columns.Of(s)
}

func requireFault(t *testing.T, faults []error, says string) {
	t.Helper()
	if !slices.ContainsFunc(faults, func(err error) bool { return strings.Contains(err.Error(), says) }) {
		require.Fail(t, "the planted violation was not found", "wanted %q in %v", says, faults)
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, service := range architecture.Services {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			s := schema(t, service)
			require.Empty(t, architecture.CrossReferences(s))
			if service == architecture.IdentityProvider {
				return // users live there
			}
			n := notes(t, s)
			require.Empty(t, architecture.ProfileColumns(s))
			require.Empty(t, architecture.UserTables(s, architecture.Reasons(n)))
			require.Empty(t, architecture.UserColumnTypes(s))
			require.Empty(t, architecture.UserReferences(s))
			require.Empty(t, architecture.UndeclaredColumns(s, manifest(t, service), n))
			require.Empty(t, architecture.UnexportedChildren(s, manifest(t, service)))
		})
	}
}

func TestProfileColumns_AreFound(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"email", "name", "first_name", "customer_email", "display_name", "avatar_url", "phone", "password_hash"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			s := schema(t, "orders", "ALTER TABLE orders ADD COLUMN "+column+" text")
			requireFault(t, architecture.ProfileColumns(s), "orders."+column)
		})
	}
	t.Run("names of people in a table of their own", func(t *testing.T) {
		t.Parallel()
		requireFault(t, architecture.ProfileColumns(schema(t, "orders", "CREATE TABLE buyers (id uuid PRIMARY KEY, name text)")), "buyers.name")
	})
	t.Run("no false alarm", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders", "ALTER TABLE orders ADD COLUMN filename text, ADD COLUMN service_name text, ADD COLUMN streets int",
			"CREATE TABLE warehouses (name text PRIMARY KEY, opened_at timestamptz)")
		require.Empty(t, architecture.ProfileColumns(s))
	})
	t.Run("the identity provider itself", func(t *testing.T) {
		t.Parallel()
		require.NotEmpty(t, architecture.ProfileColumns(schema(t, architecture.IdentityProvider)), "it is exempt because users live there, and only there")
	})
}

func TestUserTables_NeedAReason(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"primary key":     "CREATE TABLE loyalty (user_id text PRIMARY KEY, points int)",
		"with the tenant": "CREATE TABLE loyalty (tenant_id text, user_id text, points int, PRIMARY KEY (tenant_id, user_id))",
		"unique index":    "CREATE TABLE loyalty (id uuid PRIMARY KEY, user_id text); CREATE UNIQUE INDEX loyalty_user ON loyalty (user_id)",
		"another name":    "CREATE TABLE loyalty (customer_id text PRIMARY KEY)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := schema(t, "orders", table)
			reasons := architecture.Reasons(notes(t, s))
			requireFault(t, architecture.UserTables(s, reasons), "loyalty is keyed by the user ID alone")
			reasons["loyalty"] = "points belong to the program, not to a profile"
			require.Empty(t, architecture.UserTables(s, reasons))
		})
	}
	t.Run("a reason for nothing", func(t *testing.T) {
		t.Parallel()
		requireFault(t, architecture.UserTables(schema(t, "orders"), map[string]string{"orders": "?"}), "not keyed by a user ID")
	})
}

func TestUserReferencesAndTypes_AreFound(t *testing.T) {
	t.Parallel()
	s := schema(t, "orders",
		"CREATE TABLE users (id text PRIMARY KEY)",
		"ALTER TABLE orders ADD COLUMN buyer text REFERENCES users (id), ADD COLUMN agent_user_id uuid")
	requireFault(t, architecture.UserReferences(s), "leads from orders to users")
	requireFault(t, architecture.UserReferences(s), "table users is named like a table of users")
	requireFault(t, architecture.UserColumnTypes(s), "orders.agent_user_id is uuid")
}

func TestCrossReferences_AreFound(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, sets(t, "orders")...)
	admin := connect(t, db.AdminURL)
	for _, statement := range []string{
		"CREATE SCHEMA billing",
		"CREATE TABLE billing.invoices (id uuid PRIMARY KEY)",
		"ALTER TABLE orders ADD COLUMN other uuid REFERENCES billing.invoices (id)",
		"CREATE VIEW order_invoices AS SELECT o.id FROM orders o JOIN billing.invoices i ON i.id = o.other",
	} {
		_, err := admin.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	s, err := architecture.ReadSchema(t.Context(), admin, "orders")
	require.NoError(t, err)
	faults := architecture.CrossReferences(s)
	requireFault(t, faults, "table billing.invoices is outside")
	requireFault(t, faults, "leads from orders to billing.invoices")
	requireFault(t, faults, "view order_invoices reads billing.invoices")

	requireFault(t, architecture.CrossReferences(architecture.Schema{Service: "orders", Extensions: []string{"dblink"}}), "extension dblink")
	requireFault(t, architecture.CrossReferences(architecture.Schema{Service: "orders", ForeignTables: []string{"invoices"}}), "table of another server")
}

func TestUnexportedChildren_AreFound(t *testing.T) {
	t.Parallel()
	s := schema(t, "billing",
		"CREATE TABLE reminders (invoice_id uuid REFERENCES invoices (id))",
		"CREATE TABLE receipts (transaction_id uuid REFERENCES ledger_transactions (id))")
	faults := architecture.UnexportedChildren(s, manifest(t, "billing"))
	require.Len(t, faults, 2)
	requireFault(t, faults, "reminders belongs to invoices")
	requireFault(t, faults, "receipts belongs to ledger_transactions")
}

func TestUndeclaredColumns_AreFound(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text", "jsonb", "json", "bytea", "text[]", "varchar(40)", "name", "xml"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := schema(t, "orders", "ALTER TABLE orders ADD COLUMN extra "+kind)
			requireFault(t, architecture.UndeclaredColumns(s, manifest(t, "orders"), notes(t, s)), "orders.extra (")
		})
	}
	t.Run("a domain over text", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders", "CREATE DOMAIN label AS text", "ALTER TABLE orders ADD COLUMN extra label")
		requireFault(t, architecture.UndeclaredColumns(s, manifest(t, "orders"), notes(t, s)), "orders.extra (text)")
	})
	t.Run("a closed list holds none", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders", "ALTER TABLE orders ADD COLUMN extra text CHECK (extra IN ('a', 'b')), ADD COLUMN also text CHECK (also IN ('a') OR also <> '')")
		faults := architecture.UndeclaredColumns(s, manifest(t, "orders"), notes(t, s))
		require.Len(t, faults, 1)
		requireFault(t, faults, "orders.also")
	})
	t.Run("a new table", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders", "CREATE TABLE notes (id uuid, body text)")
		requireFault(t, architecture.UndeclaredColumns(s, manifest(t, "orders"), notes(t, s)), "notes.body")
	})
	t.Run("excuses", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders", "CREATE TABLE notes (id uuid, body text, user_id text)")
		for name, c := range map[string]struct {
			excuse map[string]string
			says   string
		}{
			"for a user ID":    {map[string]string{"it is never set, promise": "user_id"}, "its name says that it holds a user ID"},
			"for nothing":      {map[string]string{"a reason that is long enough": "nobody"}, "notes.nobody is excused and does not exist"},
			"without a reason": {map[string]string{"": "body"}, "without a reason"},
		} {
			n := notes(t, s)
			n["notes"] = architecture.TableNotes{NoUserID: c.excuse}
			faults := architecture.UndeclaredColumns(s, manifest(t, "orders"), n)
			require.NotEmpty(t, faults, name)
			requireFault(t, faults, c.says)
		}
	})
	t.Run("a manifest that names what is not there", func(t *testing.T) {
		t.Parallel()
		s := schema(t, "orders")
		m, err := participant.ParseManifest([]byte("version: 1\ntables:\n  - table: gone\n    columns: [{column: user_id, disposition: erase}]\n"))
		require.NoError(t, err)
		requireFault(t, architecture.UndeclaredColumns(s, m, notes(t, s)), "the manifest names gone.user_id")
	})
}
