package participant

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// ending is a retain entry from its other side: the rows whose retention is over.
type ending struct {
	table  string
	column Column
	// owners are the IDs behind $1, at most $2, that such rows stand under.
	owners string
	// change erases or pseudonymises those of the user $1; $2 is the pseudonym.
	change string
	// count counts the user's rows: those that are over, the others, and when the
	// last of the others is.
	count string
}

// endings are those of the manifest; within a table, rows that are found by
// another column come first, as in steps.
func (m *Manifest) endings(ctx context.Context, db querier) ([]ending, error) {
	var all []ending
	var faults []error
	for i := range m.Tables {
		t := &m.Tables[i]
		kept := slices.DeleteFunc(slices.Clone(t.Columns), func(c Column) bool { return c.Disposition != Retain })
		if len(kept) == 0 {
			continue
		}
		facts, err := tableFacts(ctx, db, t.Name)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(kept, func(a, b Column) int {
			switch {
			case a.Key != "" && b.Key == "":
				return -1
			case a.Key == "" && b.Key != "":
				return 1
			default:
				return 0
			}
		})
		for _, c := range kept {
			e, err := newEnding(t, c, facts)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err))
			}
			all = append(all, e)
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrManifest, errors.Join(faults...))
	}
	return all, nil
}

func newEnding(t *Table, c Column, facts map[string]columnFacts) (ending, error) {
	p, err := newPlace(t, c, facts)
	if err != nil {
		return ending{}, err
	}
	e := ending{table: t.Name, column: c}
	column := pgx.Identifier{c.Name}.Sanitize()
	// Without a Since the rows of one user end together, and who asks knows when.
	over, until := "true", "NULL::timestamptz"
	if c.Since != "" {
		since := pgx.Identifier{c.Since}.Sanitize()
		over, until = c.endOf(since)+" <= now()", "max("+c.endOf(since)+")"
	}
	holds, limits := p.holds(), "true"
	if c.Where != "" {
		limits = "(" + c.Where + ")"
	}
	if c.Key != "" {
		holds += " AND " + column + " IS NOT NULL"
		limits += " AND " + column + " IS NOT NULL"
	}
	e.owners = `SELECT DISTINCT id FROM (SELECT ` + p.values + ` COLLATE "C" AS id FROM ` + p.from + " WHERE " + limits + " AND " + over +
		`) AS kept WHERE id > $1 COLLATE "C" AND id NOT LIKE '` + pseudonymPrefix + `%' ORDER BY id LIMIT $2`
	e.count = "SELECT count(*) FILTER (WHERE " + over + "), count(*) FILTER (WHERE NOT " + over + "), " + until +
		" FILTER (WHERE NOT " + over + ") FROM " + p.from + " WHERE " + holds
	if c.Since == "" {
		e.count = "SELECT count(*), 0, NULL::timestamptz FROM " + p.from + " WHERE " + holds
	}
	switch {
	case c.Then == Pseudonymise:
		_, replace, err := holderOf(c.Name, facts[c.Name], Column{Disposition: Pseudonymise, Path: c.Path})
		if err != nil {
			return ending{}, err
		}
		e.change = "UPDATE " + p.from + " SET " + column + " = " + replace + " WHERE " + holds + " AND " + over
	case c.Key != "":
		if !facts[c.Name].Nullable {
			return ending{}, errors.New("when its retention ends the column is set to NULL, but it is NOT NULL")
		}
		e.change = "UPDATE " + p.from + " SET " + column + " = NULL WHERE " + holds + " AND " + over
	default:
		e.change = "DELETE FROM " + p.from + " WHERE " + holds + " AND " + over
	}
	return e, nil
}

// endOf is the SQL for the end of the retention that starts at since. PostgreSQL
// and Go disagree about a month after January 31, so only one of them counts.
func (c Column) endOf(since string) string {
	return "(" + since + " + interval '" + c.Retention.String() + "')::timestamptz"
}

func (c Column) then() Disposition {
	if c.Then == "" {
		return Erase
	}
	return c.Then
}
