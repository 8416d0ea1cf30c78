package participant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pseudonymPrefix starts every pseudonym; a UUID follows.
const pseudonymPrefix = "erased:"

// pseudonymBytes is the length of a pseudonym, for columns with a limit.
const pseudonymBytes = len(pseudonymPrefix) + 36

// Validate returns an error that wraps [ErrManifest] and lists every entry that
// does not fit the live database: a missing table or column, a type that cannot
// hold what the entry says. A role sees only what it has privileges for, so ask
// with the role that will erase.
func (m *Manifest) Validate(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := m.steps(ctx, pool)
	return err
}

// step is a manifest entry fitted to the database. $1 is the user ID, $2 the
// pseudonym in its statements.
type step struct {
	table  string
	column Column
	place  int // in the manifest, and so in the receipt
	// change is empty for retained rows.
	change string
	// count also yields, for retained rows with a Since, the end of the newest.
	count string
}

// columnFacts is what information_schema says of a column.
type columnFacts struct {
	DataType  string
	UDT       string
	Nullable  bool
	MaxLength int
}

// steps returns the entries in the order in which they run: the manifest's,
// but within a table those that find their rows by another column go first,
// because afterwards that column no longer tells.
func (m *Manifest) steps(ctx context.Context, pool *pgxpool.Pool) ([]step, error) {
	var all []step
	var faults []error
	place := 0
	for _, t := range m.Tables {
		facts, err := tableFacts(ctx, pool, t.Name)
		if err != nil {
			return nil, err
		}
		var own []step
		for _, c := range t.Columns {
			s, err := newStep(t.Name, c, facts)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err))
			}
			s.place = place
			place++
			own = append(own, s)
		}
		slices.SortStableFunc(own, func(a, b step) int {
			switch keyedA, keyedB := a.column.Key != "", b.column.Key != ""; {
			case keyedA == keyedB:
				return 0
			case keyedA:
				return -1
			default:
				return 1
			}
		})
		all = append(all, own...)
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrManifest, errors.Join(faults...))
	}
	if err := m.useFaults(ctx, pool); err != nil {
		return nil, err
	}
	return all, nil
}

func tableFacts(ctx context.Context, db querier, table string) (map[string]columnFacts, error) {
	schema, name, qualified := strings.Cut(table, ".")
	if !qualified {
		schema, name = "", table
	}
	rows, err := db.Query(ctx, `SELECT column_name, data_type, udt_name, is_nullable = 'YES', coalesce(character_maximum_length, 0)
		FROM information_schema.columns
		WHERE table_name = $1 AND (table_schema = $2 OR $2 = '' AND table_schema = (
			SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(quote_ident($1))))`,
		name, schema)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	facts := map[string]columnFacts{}
	var column string
	var f columnFacts
	if _, err := pgx.ForEachRow(rows, []any{&column, &f.DataType, &f.UDT, &f.Nullable, &f.MaxLength}, func() error {
		facts[column] = f
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	return facts, nil
}

func newStep(table string, c Column, facts map[string]columnFacts) (step, error) {
	keyName := c.Name
	if c.Key != "" {
		keyName = c.Key
	}
	for _, name := range []string{c.Name, keyName, c.Since} {
		if _, exists := facts[name]; name != "" && !exists {
			return step{}, fmt.Errorf("no column %s that this role can see", name)
		}
	}
	match, replace, err := holderOf(keyName, facts[keyName], c)
	if err != nil {
		return step{}, err
	}
	from := pgx.Identifier(strings.Split(table, ".")).Sanitize()
	column := pgx.Identifier{c.Name}.Sanitize()
	where := " WHERE " + match
	if c.Where != "" {
		where += " AND (" + c.Where + ")"
	}
	if c.Key != "" {
		where += " AND " + column + " IS NOT NULL"
	}
	s := step{table: table, column: c, count: "SELECT count(*), NULL::timestamptz FROM " + from + where}
	switch c.Disposition {
	case Erase:
		s.change = "DELETE FROM " + from + where
		if c.Key != "" {
			if !facts[c.Name].Nullable {
				return step{}, errors.New("erase with a key sets the column to NULL, but it is NOT NULL")
			}
			s.change = "UPDATE " + from + " SET " + column + " = NULL" + where
		}
	case Pseudonymise:
		s.change = "UPDATE " + from + " SET " + column + " = " + replace + where
	case Retain:
		if c.Since != "" {
			since := facts[c.Since].DataType
			if since != "date" && !strings.HasPrefix(since, "timestamp") {
				return step{}, fmt.Errorf("since: column %s is neither a date nor a timestamp", c.Since)
			}
			if facts[c.Since].Nullable {
				return step{}, fmt.Errorf("since: column %s may be NULL, and such a row would be kept for ever", c.Since)
			}
			s.count = "SELECT count(*), " + c.endOf("max("+pgx.Identifier{c.Since}.Sanitize()+")") + " FROM " + from + where
		}
	}
	return s, nil
}

// holderOf returns the SQL that finds a user ID in a column of this type, and
// the value that replaces it by the pseudonym.
func holderOf(name string, facts columnFacts, c Column) (match, replace string, err error) {
	column := pgx.Identifier{name}.Sanitize()
	if isJSON := facts.DataType == "json" || facts.DataType == "jsonb"; isJSON != (len(c.Path) > 0) {
		return "", "", errors.New("a json or jsonb column, and no other, needs a path to the user ID")
	}
	switch {
	case facts.DataType == "text" || facts.DataType == "character varying":
		if c.Disposition == Pseudonymise && facts.MaxLength > 0 && facts.MaxLength < pseudonymBytes {
			return "", "", fmt.Errorf("the column is too short for a pseudonym of %d characters", pseudonymBytes)
		}
		return column + " = $1::text", "$2::text", nil
	case facts.DataType == "bytea":
		return column + " = convert_to($1::text, 'UTF8')", "convert_to($2::text, 'UTF8')", nil
	case facts.UDT == "_text" || facts.UDT == "_varchar":
		return column + " @> ARRAY[$1::text]" + "::" + strings.TrimPrefix(facts.UDT, "_") + "[]",
			"array_replace(" + column + ", $1::text::" + strings.TrimPrefix(facts.UDT, "_") + ", $2::text::" + strings.TrimPrefix(facts.UDT, "_") + ")", nil
	case facts.DataType == "json" || facts.DataType == "jsonb":
		// The steps of a path are plain names (checked when the manifest was read).
		path := "'{" + strings.ReplaceAll(strings.Join(c.Path, ","), "'", "''") + "}'::text[]"
		return "(" + column + " #>> " + path + ") = $1::text",
			"jsonb_set(" + column + "::jsonb, " + path + ", to_jsonb($2::text))::" + facts.DataType, nil
	default:
		return "", "", fmt.Errorf("type %s cannot hold a user ID", facts.DataType)
	}
}
