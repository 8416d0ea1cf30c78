package participant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// exportColumn is one column of an exported table.
type exportColumn struct {
	name string
	// kind is the type as SQL writes it.
	kind string
	// key is the place in the primary key, from 1; 0: none.
	key      int
	withheld bool
}

// exportColumns are the table's, in its own order. A table or a withheld column
// that is not there is an error that wraps ErrManifest.
func exportColumns(ctx context.Context, db querier, s section) ([]exportColumn, error) {
	rows, err := db.Query(ctx, `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
			coalesce((SELECT k.ordinality FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, ordinality)
				WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum), 0)
		FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
		pgx.Identifier(strings.Split(s.table, ".")).Sanitize())
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", s.table, err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c exportColumn, err error) {
		err = row.Scan(&c.name, &c.kind, &c.key)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", s.table, err)
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%w: no table %s", ErrManifest, s.table)
	}
	for _, w := range s.withheld {
		i := slices.IndexFunc(columns, func(c exportColumn) bool { return c.name == w.Column })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s withholds %s, which does not exist", ErrManifest, s.table, w.Column)
		}
		columns[i].withheld = true
	}
	if !slices.ContainsFunc(columns, func(c exportColumn) bool { return !c.withheld }) {
		return nil, fmt.Errorf("%w: %s withholds everything", ErrManifest, s.table)
	}
	return columns, nil
}

func keysOf(columns []exportColumn) []exportColumn {
	keys := slices.DeleteFunc(slices.Clone(columns), func(c exportColumn) bool { return c.key == 0 })
	slices.SortFunc(keys, func(a, b exportColumn) int { return cmp.Compare(a.key, b.key) })
	return keys
}

// useFaults are what exports and rekeyings would stumble over in this database.
func (m *Manifest) useFaults(ctx context.Context, db querier) error {
	sections, err := m.sections(ctx, db)
	if err != nil {
		return err
	}
	var faults []error
	for _, s := range sections {
		if _, err := exportColumns(ctx, db, s); err != nil {
			if !errors.Is(err, ErrManifest) {
				return err
			}
			faults = append(faults, err)
		}
	}
	for _, t := range m.Tables {
		facts, err := tableFacts(ctx, db, t.Name)
		if err != nil {
			return err
		}
		for _, c := range t.Rekey.Add {
			if _, exists := facts[c]; !exists {
				faults = append(faults, fmt.Errorf("%w: %s adds up %s, which does not exist", ErrManifest, t.Name, c))
			}
		}
		astray, err := strayChildren(ctx, db, t.Name, facts, t.Children)
		if err != nil {
			return err
		}
		faults = append(faults, astray...)
	}
	return errors.Join(faults...)
}

// strayChildren are the children whose column, or whose parent's, does not exist.
func strayChildren(ctx context.Context, db querier, parent string, facts map[string]columnFacts, children []Child) (faults []error, err error) {
	for _, child := range children {
		in, err := tableFacts(ctx, db, child.Table)
		if err != nil {
			return nil, err
		}
		_, refers := in[child.Column]
		if _, exists := facts[child.Of]; !refers || !exists {
			faults = append(faults, fmt.Errorf("%w: %s.%s does not lead to %s.%s", ErrManifest, child.Table, child.Column, parent, child.Of))
		}
		further, err := strayChildren(ctx, db, child.Table, in, child.Children)
		if err != nil {
			return nil, err
		}
		faults = append(faults, further...)
	}
	return faults, nil
}
