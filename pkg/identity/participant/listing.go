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
	places, err := p.config.Manifest.places(ctx, p.config.Pool)
	if err != nil {
		return nil, "", err
	}
	all, next, err := page(ctx, p.config.Pool, places, after, limit)
	if err != nil {
		return nil, "", err
	}
	erased, err := p.tombstones.erased(ctx, p.config.Pool, all)
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

// erased tells for each ID whether it has a tombstone here.
func (t *Tombstones) erased(ctx context.Context, db querier, ids []string) ([]bool, error) {
	hashes := make([][]byte, 0, len(ids))
	owner := map[string]int{}
	for i, id := range ids {
		for _, h := range t.hashes(id) {
			hashes = append(hashes, h)
			owner[string(h)] = i
		}
	}
	rows, err := db.Query(ctx, `SELECT hash FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted`, hashes)
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
