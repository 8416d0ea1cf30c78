package participant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// place is one column, or one path in one, that user IDs stand in, fitted to
// the database.
type place struct {
	table *Table
	// column is the entry that declared it; label names it in answers.
	column Column
	label  string
	from   string
	facts  columnFacts
	// values yields the IDs as text, one a row, and match finds $1; where is the
	// manifest's own condition.
	values, match, where string
}

// places are those of the manifest, each once and in its order. A column that
// only serves as another entry's key is one as well.
func (m *Manifest) places(ctx context.Context, db querier) ([]place, error) {
	var all []place
	var faults []error
	for i := range m.Tables {
		t := &m.Tables[i]
		facts, err := tableFacts(ctx, db, t.Name)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		// Entries of their own first: a key's conditions are those of its own entry.
		for _, keyed := range []bool{false, true} {
			for _, c := range t.Columns {
				if (c.Key != "") != keyed {
					continue
				}
				p, err := newPlace(t, c, facts)
				if err != nil {
					faults = append(faults, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err))
					continue
				}
				identity := p.label + "\x00" + p.where
				if seen[identity] || keyed && seen[p.label] {
					continue
				}
				seen[identity], seen[p.label] = true, true
				all = append(all, p)
			}
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrManifest, errors.Join(faults...))
	}
	return all, nil
}

func newPlace(t *Table, c Column, facts map[string]columnFacts) (place, error) {
	name := c.Name
	if c.Key != "" {
		// What holds the ID is the key; the entry's path and condition are its own.
		name, c = c.Key, Column{Name: c.Key, Disposition: c.Disposition, Where: c.Where}
	}
	f, exists := facts[name]
	if !exists {
		return place{}, fmt.Errorf("no column %s that this role can see", name)
	}
	match, _, err := holderOf(name, f, Column{Name: name, Path: c.Path})
	if err != nil {
		return place{}, err
	}
	p := place{
		table: t, column: c, label: strings.Join(append([]string{name}, c.Path...), "/"),
		from: pgx.Identifier(strings.Split(t.Name, ".")).Sanitize(), facts: f, match: match, where: c.Where,
	}
	p.column.Name = name
	column := pgx.Identifier{name}.Sanitize()
	switch {
	case len(c.Path) > 0:
		p.values = column + " #>> '{" + strings.Join(c.Path, ",") + "}'"
	case f.DataType == "bytea":
		p.values = "convert_from(" + column + ", 'UTF8')"
	case f.DataType == "ARRAY":
		p.values = "unnest(" + column + ")"
	default:
		p.values = column
	}
	return p, nil
}

// holds is the condition for rows of the user $1.
func (p place) holds() string {
	if p.where == "" {
		return p.match
	}
	return p.match + " AND (" + p.where + ")"
}

// ids selects every ID of the place, as the column id.
func (p place) ids() string {
	sql := "SELECT " + p.values + ` COLLATE "C" AS id FROM ` + p.from
	if p.where != "" {
		sql += " WHERE (" + p.where + ")"
	}
	return sql
}

// pageOf selects, over all places, the first $2 IDs behind $1. Each place is
// asked for its first ones alone: an index on the ID then serves a page without
// a look at the rest of the table.
func pageOf(places []place) string {
	selects := make([]string, len(places))
	for i, p := range places {
		selects[i] = "(SELECT DISTINCT id FROM (" + p.ids() + `) AS held WHERE id > $1 COLLATE "C" ORDER BY id LIMIT $2)`
	}
	return "SELECT id FROM (" + strings.Join(selects, " UNION ") + ") AS held ORDER BY id LIMIT $2"
}
