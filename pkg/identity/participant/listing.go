package participant

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// MaxUserIDs bounds one page of UserIDs.
const MaxUserIDs = 1000

// UserIDs lists, in byte order, up to limit user IDs behind after that the
// manifest's columns hold. Reconciliation compares them with the identity
// provider's list. Pseudonyms and users that this service has erased are left
// out: their retained rows must not open another erasure, while a restored
// backup, which has lost their tombstones too, must. next is where the next page
// begins, empty after the last; a page may be short or empty before that.
func (p *Participant) UserIDs(ctx context.Context, after string, limit int) (ids []string, next string, err error) {
	if limit < 1 || limit > MaxUserIDs {
		limit = MaxUserIDs
	}
	rows, err := p.config.Pool.Query(ctx, `SELECT id FROM (`+p.config.Manifest.held()+`) AS held
		WHERE id > $1 COLLATE "C" ORDER BY id COLLATE "C" LIMIT $2`, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list user IDs: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, "", fmt.Errorf("list user IDs: %w", err)
	}
	if len(all) == limit {
		next = all[len(all)-1]
	}
	erased, err := p.erased(ctx, all)
	if err != nil {
		return nil, "", err
	}
	for i, id := range all {
		if !erased[i] && !strings.HasPrefix(id, pseudonymPrefix) {
			ids = append(ids, id)
		}
	}
	return ids, next, nil
}

// held selects every user ID of the manifest once.
func (m *Manifest) held() string {
	var selects []string
	for _, t := range m.Tables {
		table := pgx.Identifier(strings.Split(t.Name, ".")).Sanitize()
		for _, c := range t.Columns {
			if c.Key != "" {
				continue // found by another column, which is declared too or is this one's key alone
			}
			id := pgx.Identifier{c.Name}.Sanitize()
			if len(c.Path) > 0 {
				id += " #>> '{" + strings.Join(c.Path, ",") + "}'"
			}
			where := id + " IS NOT NULL"
			if c.Where != "" {
				where += " AND (" + c.Where + ")"
			}
			selects = append(selects, "SELECT "+id+` COLLATE "C" AS id FROM `+table+" WHERE "+where)
		}
	}
	if len(selects) == 0 {
		return `SELECT NULL::text COLLATE "C" AS id WHERE false`
	}
	return strings.Join(selects, " UNION ")
}

// erased tells for each ID whether it has a tombstone here.
func (p *Participant) erased(ctx context.Context, ids []string) ([]bool, error) {
	hashes := make([][]byte, 0, len(ids))
	owner := map[string]int{}
	for i, id := range ids {
		for _, h := range p.tombstones.hashes(id) {
			hashes = append(hashes, h)
			owner[string(h)] = i
		}
	}
	rows, err := p.config.Pool.Query(ctx, `SELECT hash FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted`, hashes)
	if err != nil {
		return nil, fmt.Errorf("look for tombstones: %w", err)
	}
	out := make([]bool, len(ids))
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&hash}, func() error {
		out[owner[string(hash)]] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tombstones: %w", err)
	}
	return out, nil
}
