package participant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrRekeyConflict is returned where the old and the new user ID have rows of
// which a unique key lets only one stay, and the manifest does not say which.
var ErrRekeyConflict = errors.New("both user IDs have rows where only one may")

const uniqueViolation = "23505"

// RekeyedColumn says what became of the old user ID's rows in one column.
type RekeyedColumn struct {
	Table  string      `json:"table"`
	Column string      `json:"column"`
	Action RekeyAction `json:"action"`
	// Rows were moved, discarded, or kept.
	Rows int64 `json:"rows"`
	// Merged rows of the old ID gave way to rows of the new one, by Conflict.
	Merged int64 `json:"merged,omitempty"`
	// Refused rows have a conflict that nobody has decided; nothing was changed.
	Refused  int64         `json:"refused,omitempty"`
	Conflict RekeyConflict `json:"conflict,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}

// Rekey puts newID where oldID stands, table by table as the manifest says, and
// counts a second time. It returns ErrRekeyConflict, with what it has found, for
// conflicts that the manifest does not decide: the caller rolls back. The caller
// keeps writers of both users away.
func (m *Manifest) Rekey(ctx context.Context, tx pgx.Tx, oldID, newID string) ([]RekeyedColumn, error) {
	places, err := m.places(ctx, tx)
	if err != nil {
		return nil, err
	}
	results := make([]RekeyedColumn, 0, len(places))
	refused := false
	for _, p := range places {
		r, err := p.rekey(ctx, tx, oldID, newID)
		if broken, ok := errors.AsType[*pgconn.PgError](err); ok && broken.Code == uniqueViolation {
			err = fmt.Errorf("%w: constraint %s", ErrRekeyConflict, broken.ConstraintName)
		}
		if err != nil {
			return nil, fmt.Errorf("rekey %s.%s: %w", p.table.Name, p.label, err)
		}
		refused = refused || r.Refused > 0
		results = append(results, r)
	}
	if refused {
		return results, ErrRekeyConflict
	}
	return results, nil
}

func (p place) rekey(ctx context.Context, tx pgx.Tx, oldID, newID string) (RekeyedColumn, error) {
	rule := p.table.Rekey
	r := RekeyedColumn{Table: p.table.Name, Column: p.label, Action: rule.action()}
	left := "SELECT count(*) FROM " + p.from + " WHERE " + p.holds()
	if r.Action == RekeyKeep {
		r.Reason = rule.Reason
		return r, tx.QueryRow(ctx, left, oldID).Scan(&r.Rows)
	}
	change, args := "UPDATE "+p.from+" SET "+p.replacement()+" WHERE "+p.holds(), []any{oldID, newID}
	if r.Action == RekeyDiscard {
		change, args = "DELETE FROM "+p.from+" WHERE "+p.holds(), args[:1]
		r.Reason = rule.Reason
	} else if err := p.settle(ctx, tx, oldID, newID, &r); err != nil || r.Refused > 0 {
		return r, err
	}
	tag, err := tx.Exec(ctx, change, args...)
	if err != nil {
		return r, err
	}
	r.Rows = tag.RowsAffected()
	var n int64
	if err := tx.QueryRow(ctx, left, oldID).Scan(&n); err != nil {
		return r, fmt.Errorf("count again: %w", err)
	}
	if n > 0 {
		return r, fmt.Errorf("%d rows are left", n)
	}
	return r, nil
}

// replacement sets the place to the ID $2. A list that has both keeps one.
func (p place) replacement() string {
	column := pgx.Identifier{p.column.Name}.Sanitize()
	_, replace, _ := holderOf(p.column.Name, p.facts, Column{Name: p.column.Name, Path: p.column.Path}) // fitted before
	if p.facts.DataType == "ARRAY" {
		element := strings.TrimPrefix(p.facts.UDT, "_")
		replace = "CASE WHEN " + column + " @> ARRAY[$2::text]::" + element + "[] THEN array_remove(" + column + ", $1::text::" + element + ") ELSE " + replace + " END"
	}
	return column + " = " + replace
}

// settle makes room where a unique key lets only one of two rows stay.
func (p place) settle(ctx context.Context, tx pgx.Tx, oldID, newID string, r *RekeyedColumn) error {
	keys, err := p.uniqueKeys(ctx, tx)
	if err != nil || len(keys) == 0 {
		return err
	}
	rule := p.table.Rekey
	r.Conflict = rule.conflict()
	// The place's own condition names columns without their table, so the old
	// ID's rows are chosen first and compared afterwards.
	olds := "(SELECT ctid AS place, * FROM " + p.from + " WHERE " + p.holds() + ") AS o"
	value := "$2::text"
	if p.facts.DataType == "bytea" {
		value = "convert_to($2::text, 'UTF8')"
	}
	conditions := make([]string, len(keys))
	for i, others := range keys {
		same := []string{"n." + pgx.Identifier{p.column.Name}.Sanitize() + " = " + value}
		for _, c := range others {
			name := pgx.Identifier{c}.Sanitize()
			same = append(same, "n."+name+" = o."+name)
		}
		conditions[i] = strings.Join(same, " AND ")
	}
	clashing := "EXISTS (SELECT FROM " + p.from + " AS n WHERE " + strings.Join(conditions, " OR ") + ")"
	if r.Conflict == ConflictRefuse {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+olds+" WHERE "+clashing, oldID, newID).Scan(&r.Refused)
	}
	if r.Conflict == ConflictAdd {
		if len(keys) != 1 {
			return fmt.Errorf("%w: add needs exactly one unique key with the user ID", ErrManifest)
		}
		sums := make([]string, len(rule.Add))
		for i, c := range rule.Add {
			name := pgx.Identifier{c}.Sanitize()
			// Nothing plus something is something, which NULL is not in SQL.
			sums[i] = name + " = coalesce(n." + name + " + o." + name + ", n." + name + ", o." + name + ")"
		}
		_, err := tx.Exec(ctx, "UPDATE "+p.from+" AS n SET "+strings.Join(sums, ", ")+" FROM "+olds+" WHERE "+conditions[0], oldID, newID)
		if err != nil {
			return fmt.Errorf("add up: %w", err)
		}
	}
	tag, err := tx.Exec(ctx, "DELETE FROM "+p.from+" WHERE ctid IN (SELECT o.place FROM "+olds+" WHERE "+clashing+")", oldID, newID)
	if err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	if r.Merged = tag.RowsAffected(); r.Merged > 0 {
		r.Reason = rule.Reason
	}
	return nil
}

// uniqueKeys are the other columns of each unique index that holds the ID. An
// index over a part of the rows or over expressions is left to the database: its
// violation is a conflict that nobody has decided.
func (p place) uniqueKeys(ctx context.Context, tx pgx.Tx) ([][]string, error) {
	if p.facts.DataType == "ARRAY" || len(p.column.Path) > 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT array_agg(a.attname::text ORDER BY k.ordinality)
		FROM pg_index i
		CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, ordinality)
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND k.ordinality <= i.indnkeyatts
		GROUP BY i.indexrelid ORDER BY i.indexrelid`, p.from)
	if err != nil {
		return nil, fmt.Errorf("read unique keys: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, fmt.Errorf("read unique keys: %w", err)
	}
	var keys [][]string
	for _, columns := range all {
		if i := slices.Index(columns, p.column.Name); i >= 0 {
			keys = append(keys, slices.Delete(columns, i, i+1))
		}
	}
	return keys, nil
}
