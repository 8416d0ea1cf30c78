package identitytest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

// Dump makes a backup of the database, with pg_dump, and returns its file.
func (d *Database) Dump(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.dump")
	tool(t, "pg_dump", "--format=custom", "--file="+file, d.AdminURL)
	return file
}

// Restore puts the database back to where it was when the backup was made, with
// pg_restore. Whoever uses the database must have stopped.
func (d *Database) Restore(t testing.TB, file string) {
	t.Helper()
	tool(t, "pg_restore", "--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--dbname="+d.AdminURL, file)
	// What connections have prepared is about tables that are gone.
	d.Pool.Reset()
	d.Owner.Reset()
}

func tool(t testing.TB, name string, args ...string) {
	t.Helper()
	path, err := localpostgres.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil { //nolint:gosec // a program of PostgreSQL's
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
