package architecture

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Schema is what a service's migrations made.
type Schema struct {
	Service       string
	Tables        []Table
	ForeignKeys   []Reference
	ViewUses      []Reference
	ForeignTables []string
	Extensions    []string
}

// Table with its columns and the sets of columns that identify a row.
type Table struct {
	Schema  string
	Name    string
	Columns []Column
	// Keys are the primary key and every unique constraint or index.
	Keys [][]string
}

// Column of a table. Type is the base type, domains and arrays resolved:
// "text", "jsonb", "text[]" becomes "text". Closed columns have a CHECK that
// admits a list of values or a currency code and therefore no user ID.
type Column struct {
	Name, Type string
	Closed     bool
}

// Reference is a foreign key, or a view's use of a table.
type Reference struct{ Name, FromSchema, From, ToSchema, To string }

// querier is a connection or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const own = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'`

// ReadSchema reads a live database. Goose's version tables are left out.
func ReadSchema(ctx context.Context, db querier, service string) (Schema, error) {
	s := Schema{Service: service}
	var err error
	if s.Tables, err = readTables(ctx, db); err != nil {
		return Schema{}, fmt.Errorf("read the tables of %s: %w", service, err)
	}
	if s.ForeignKeys, err = rows[Reference](ctx, db, `
		SELECT c.conname AS name, n.nspname AS fromschema, r.relname AS "from", tn.nspname AS toschema, t.relname AS "to"
		FROM pg_constraint c
		JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_class t ON t.oid = c.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
		WHERE c.contype = 'f' AND `+own+` ORDER BY 1`); err != nil {
		return Schema{}, fmt.Errorf("read the foreign keys of %s: %w", service, err)
	}
	if s.ViewUses, err = rows[Reference](ctx, db, `
		SELECT DISTINCT v.relname AS name, n.nspname AS fromschema, v.relname AS "from", tn.nspname AS toschema, t.relname AS "to"
		FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace
		JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
		JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
		WHERE v.relkind IN ('v', 'm') AND t.oid <> v.oid AND `+own+` ORDER BY 1, 5`); err != nil {
		return Schema{}, fmt.Errorf("read the views of %s: %w", service, err)
	}
	if s.ForeignTables, err = column(ctx, db, `
		SELECT r.relname FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.relkind = 'f' AND `+own); err != nil {
		return Schema{}, fmt.Errorf("read the foreign tables of %s: %w", service, err)
	}
	if s.Extensions, err = column(ctx, db, `SELECT extname FROM pg_extension ORDER BY 1`); err != nil {
		return Schema{}, fmt.Errorf("read the extensions of %s: %w", service, err)
	}
	return s, nil
}

func readTables(ctx context.Context, db querier) ([]Table, error) {
	type cell struct {
		Schema, Table, Column, Type string
		Closed                      bool
	}
	cells, err := rows[cell](ctx, db, `
		SELECT n.nspname AS schema, r.relname AS "table", a.attname AS "column",
		       coalesce(element.typname, base.typname, ty.typname) AS type,
		       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = r.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
		               AND (pg_get_constraintdef(k.oid) ~ '^CHECK \(\(\w+ = ANY \(ARRAY\[[^()]*\]\)\)\)$'
		                    OR pg_get_constraintdef(k.oid) ~ '^CHECK \(\(\w+ ~ ''\^\[A-Z\]\{3\}\$''::text\)\)$')) AS closed
		FROM pg_class r
		JOIN pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN pg_type ty ON ty.oid = a.atttypid
		LEFT JOIN pg_type base ON ty.typtype = 'd' AND base.oid = ty.typbasetype
		LEFT JOIN pg_type element ON ty.typcategory = 'A' AND element.oid = ty.typelem
		WHERE r.relkind IN ('r', 'p', 'f', 'm') AND NOT r.relispartition AND r.relname NOT LIKE 'goose\_%' AND `+own+`
		ORDER BY 1, 2, a.attnum`)
	if err != nil {
		return nil, err
	}
	type key struct {
		Schema, Table string
		Columns       []string
	}
	keys, err := rows[key](ctx, db, `
		SELECT n.nspname AS schema, r.relname AS "table", array_agg(a.attname::text ORDER BY a.attnum) AS columns
		FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (i.indkey)
		WHERE i.indisunique AND `+own+`
		GROUP BY i.indexrelid, n.nspname, r.relname ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, err
	}
	var tables []Table
	for _, c := range cells {
		if last := len(tables) - 1; last < 0 || tables[last].Schema != c.Schema || tables[last].Name != c.Table {
			tables = append(tables, Table{Schema: c.Schema, Name: c.Table})
		}
		t := &tables[len(tables)-1]
		t.Columns = append(t.Columns, Column{Name: c.Column, Type: c.Type, Closed: c.Closed})
	}
	for i := range tables {
		for _, k := range keys {
			if k.Schema == tables[i].Schema && k.Table == tables[i].Name {
				tables[i].Keys = append(tables[i].Keys, k.Columns)
			}
		}
	}
	return tables, nil
}

func rows[T any](ctx context.Context, db querier, sql string) ([]T, error) {
	found, err := db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[T])
}

func column(ctx context.Context, db querier, sql string) ([]string, error) {
	found, err := db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowTo[string])
}
