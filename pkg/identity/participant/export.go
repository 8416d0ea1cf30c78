package participant

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// exportRows and exportBytes bound a page of an export. A single row that is
	// larger is a page of its own.
	exportRows  = 500
	exportBytes = 1 << 20
)

// ErrCursor is returned for a cursor that Export did not give.
var ErrCursor = errors.New("not a cursor of this export")

// ExportPage is a part of one table: all that the service holds of a user there.
type ExportPage struct {
	Table string `json:"table"`
	// Columns are in the rows, Withheld are left out, each with its reason.
	Columns  []string          `json:"columns"`
	Withheld []Withheld        `json:"withheld"`
	Rows     []json.RawMessage `json:"rows"` // objects; bytea as base64
	// Next is the cursor of the next page, of this table or the next one; empty
	// after the last.
	Next string `json:"next,omitempty"`
}

// Export reads one page of everything that the service holds under the user ID,
// from the manifest: each table with all its columns but the withheld ones, then
// its children. An empty cursor begins.
func (p *Participant) Export(ctx context.Context, userID, cursor string) (ExportPage, error) {
	return p.config.Manifest.Export(ctx, p.config.Pool, userID, cursor)
}

// section is one table of an export. Its condition has the user ID as $1.
type section struct {
	table    string
	where    string
	withheld []Withheld
}

// sections are the tables in the manifest's order, each followed by its
// children and theirs.
func (m *Manifest) sections(ctx context.Context, db querier) ([]section, error) {
	places, err := m.places(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []section
	for i := range m.Tables {
		t := &m.Tables[i]
		var holds []string
		for _, p := range places {
			if p.table == t {
				holds = append(holds, "("+p.holds()+")")
			}
		}
		where := strings.Join(holds, " OR ")
		all = append(all, section{table: t.Name, where: where, withheld: t.Withhold})
		all = append(all, descendants(t.Name, where, t.Children)...)
	}
	return all, nil
}

// descendants are the children of the parent's rows that where chooses, each
// followed by its own.
func descendants(parent, where string, children []Child) []section {
	var all []section
	from := pgx.Identifier(strings.Split(parent, ".")).Sanitize()
	for _, c := range children {
		of := pgx.Identifier{c.Column}.Sanitize() + " IN (SELECT " + pgx.Identifier{c.Of}.Sanitize() + " FROM " + from + " WHERE " + where + ")"
		all = append(all, section{table: c.Table, withheld: c.Withhold, where: of})
		all = append(all, descendants(c.Table, of, c.Children)...)
	}
	return all
}

// position is what a cursor says: the section, and the primary key of the last
// row that was told of it.
type position struct {
	Section int      `json:"s"`
	After   []string `json:"a,omitempty"`
}

func (p position) encode() (string, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

func decodePosition(cursor string, sections int) (p position, err error) {
	if cursor == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Section < 0 || p.Section >= sections {
		return p, ErrCursor
	}
	return p, nil
}

// Export is Participant.Export for a service that exports by itself.
func (m *Manifest) Export(ctx context.Context, pool *pgxpool.Pool, userID, cursor string) (ExportPage, error) {
	sections, err := m.sections(ctx, pool)
	if err != nil {
		return ExportPage{}, err
	}
	at, err := decodePosition(cursor, len(sections))
	if err != nil {
		return ExportPage{}, err
	}
	s := sections[at.Section]
	page := ExportPage{Table: s.table, Withheld: s.withheld, Rows: []json.RawMessage{}}
	if page.Withheld == nil {
		page.Withheld = []Withheld{}
	}
	columns, err := exportColumns(ctx, pool, s)
	if err != nil {
		return ExportPage{}, err
	}
	for _, c := range columns {
		if !c.withheld {
			page.Columns = append(page.Columns, c.name)
		}
	}
	last, err := s.read(ctx, pool, columns, userID, at.After, &page)
	if err != nil {
		return ExportPage{}, fmt.Errorf("export %s: %w", s.table, err)
	}
	next := position{Section: at.Section, After: last}
	if last == nil {
		if at.Section == len(sections)-1 {
			return page, nil
		}
		next = position{Section: at.Section + 1}
	}
	page.Next, err = next.encode()
	return page, err
}

// read fills the page and returns where the next one of this table begins, or
// nil at its end.
func (s section) read(ctx context.Context, db querier, columns []exportColumn, userID string, after []string, page *ExportPage) (last []string, err error) {
	statement, keys := s.statement(columns, len(after) > 0)
	if after != nil && len(after) != keys {
		return nil, ErrCursor
	}
	args := []any{userID, exportRows}
	for _, a := range after {
		args = append(args, a)
	}
	rows, err := db.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		var raw []byte
		var key []string
		if err := rows.Scan(&raw, &key); err != nil {
			return nil, err
		}
		if size += len(raw); size > exportBytes && len(page.Rows) > 0 {
			return last, nil // the row that is too much opens the next page
		}
		page.Rows, last = append(page.Rows, raw), key
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(page.Rows) < exportRows {
		return nil, nil
	}
	return last, nil
}

// statement selects rows as JSON with their keys as text, in the order of the
// primary key, or, where there is none, of the rows' places.
func (s section) statement(columns []exportColumn, continued bool) (sql string, keys int) {
	var fields, names, texts, bounds []string
	for _, c := range columns {
		name := pgx.Identifier{c.name}.Sanitize()
		switch {
		case c.withheld:
		case c.kind == "bytea":
			// encode breaks its lines after 76 characters.
			fields = append(fields, "replace(encode("+name+", 'base64'), E'\\n', '') AS "+name)
		default:
			fields = append(fields, name)
		}
	}
	for _, c := range keysOf(columns) {
		// With its table: a bare name would mean what is selected, base64 and all.
		name := "e." + pgx.Identifier{c.name}.Sanitize()
		names = append(names, name)
		texts = append(texts, name+"::text")
		bounds = append(bounds, fmt.Sprintf("$%d::text::%s", 3+len(bounds), c.kind))
	}
	if len(names) == 0 {
		names, texts, bounds = []string{"e.ctid"}, []string{"e.ctid::text"}, []string{"$3::text::tid"}
	}
	where := "(" + s.where + ")"
	if continued {
		where += " AND (" + strings.Join(names, ", ") + ") > (" + strings.Join(bounds, ", ") + ")"
	}
	from := pgx.Identifier(strings.Split(s.table, ".")).Sanitize()
	inner := "SELECT " + strings.Join(fields, ", ") + ", ARRAY[" + strings.Join(texts, ", ") + "] AS key_of_export FROM " + from +
		" AS e WHERE " + where + " ORDER BY " + strings.Join(names, ", ") + " LIMIT $2"
	// The key is taken out again: it stands in the row under its own name, if at all.
	return "SELECT (SELECT row_to_json(told)::text FROM (SELECT " + told(columns) + ") AS told), key_of_export FROM (" + inner + ") AS r", len(names)
}

func told(columns []exportColumn) string {
	var names []string
	for _, c := range columns {
		if !c.withheld {
			names = append(names, "r."+pgx.Identifier{c.name}.Sanitize())
		}
	}
	return strings.Join(names, ", ")
}
