package zombies

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

// scanner counts, in every table of a database, the rows that hold an ID in any
// column: text, JSON, or bytea.
type scanner struct {
	db  *identitytest.Database
	sql string
}

// newScanner asks the catalog what there is to look through.
func newScanner(t testing.TB, db *identitytest.Database) *scanner {
	t.Helper()
	rows, err := db.Owner.Query(context.Background(), `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "mailbox_outbox")
	selects := make([]string, 0, len(tables))
	for _, table := range tables {
		selects = append(selects, "SELECT '"+table+"', count(*) FROM "+pgx.Identifier{table}.Sanitize()+
			" AS r WHERE strpos(to_jsonb(r)::text, $1) > 0 OR strpos(to_jsonb(r)::text, $2) > 0")
	}
	return &scanner{db: db, sql: "SELECT name, n FROM (" + strings.Join(selects, " UNION ALL ") + ") AS found (name, n) WHERE n > 0"}
}

// rowsOf counts a user's rows by table.
func (s *scanner) rowsOf(userID string) (map[string]int64, error) {
	rows, err := s.db.Owner.Query(context.Background(), s.sql, userID, hex.EncodeToString([]byte(userID)))
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	var table string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error {
		found[table] = n
		return nil
	})
	return found, err
}
