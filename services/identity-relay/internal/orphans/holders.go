package orphans

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
)

// readHolders asks everybody who has not told everything yet, each from where
// it stopped.
func (a *Auditor) readHolders(ctx context.Context, id uuid.UUID) error {
	var partial bool
	if err := a.Pool.QueryRow(ctx, `SELECT partial FROM orphan_audits WHERE id = $1`, id).Scan(&partial); err != nil {
		return fmt.Errorf("read an audit: %w", err)
	}
	rows, err := a.Pool.Query(ctx, `SELECT holder FROM orphan_audit_holders WHERE audit_id = $1 AND NOT complete`, id)
	if err != nil {
		return fmt.Errorf("read holders: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read holders: %w", err)
	}
	var failed []error
	for _, p := range a.Peers {
		if !slices.Contains(open, p.Name()) {
			continue
		}
		if err := a.readHolder(ctx, id, p); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.Log.WarnContext(ctx, "a participant did not tell its user IDs", "participant", p.Name(), "cause", err)
			failed = append(failed, err)
			_, err := a.Pool.Exec(ctx, `UPDATE orphan_audit_holders SET problem = 'did not answer' WHERE audit_id = $1 AND holder = $2`, id, p.Name())
			if err != nil {
				return fmt.Errorf("note a holder: %w", err)
			}
		}
	}
	if len(failed) == 0 || partial && len(failed) < len(a.Peers) {
		return nil
	}
	return fmt.Errorf("%w: %w", errHolders, errors.Join(failed...))
}

func (a *Auditor) readHolder(ctx context.Context, id uuid.UUID, p peers.Peer) error {
	after, err := a.position(ctx, id, p.Name())
	if err != nil {
		return err
	}
	for {
		page, next, err := p.Holdings(ctx, after, holderPage)
		if err != nil {
			return err
		}
		err = pgx.BeginTxFunc(ctx, a.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return a.keep(ctx, tx, id, p.Name(), page, next)
		})
		if err != nil {
			return fmt.Errorf("keep a page: %w", err)
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// position is where to go on with a holder. Without one it is read from the
// beginning, and what was counted of it so far is forgotten.
func (a *Auditor) position(ctx context.Context, id uuid.UUID, holder string) (after string, err error) {
	err = a.Pool.QueryRow(ctx, `SELECT user_id FROM orphan_audit_positions WHERE audit_id = $1 AND holder = $2`, id, holder).Scan(&after)
	if err == nil {
		return after, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("find where to go on: %w", err)
	}
	err = pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
		for _, statement := range []string{
			`DELETE FROM orphan_audit_ids WHERE audit_id = $1 AND holder = $2`,
			`DELETE FROM orphan_audit_columns WHERE audit_id = $1 AND holder = $2`,
			`UPDATE orphan_audit_holders SET ids = 0 WHERE audit_id = $1 AND holder = $2`,
		} {
			if _, err := tx.Exec(ctx, statement, id, holder); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("begin with a holder: %w", err)
	}
	return "", nil
}

// advance notes that everything up to next was counted. The ID of somebody who was
// erased is not written down: a crash before the next page then begins anew.
func (a *Auditor) advance(ctx context.Context, tx pgx.Tx, id uuid.UUID, holder, next string, gone bool) error {
	statement, args := `INSERT INTO orphan_audit_positions (audit_id, holder, user_id) VALUES ($1, $2, $3)
		ON CONFLICT (audit_id, holder) DO UPDATE SET user_id = excluded.user_id`, []any{id, holder, next}
	if next == "" || gone {
		statement, args = `DELETE FROM orphan_audit_positions WHERE audit_id = $1 AND holder = $2`, args[:2]
	}
	if _, err := tx.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("note where to go on: %w", err)
	}
	return nil
}

// columnCount is what one page adds to a column's counts.
type columnCount struct{ ids, rows, retained, foreign int64 }

// columnCounts are by table and column.
type columnCounts map[[2]string]*columnCount

func (counts columnCounts) add(places, retained []participant.HeldPlace, foreign bool) {
	for _, place := range places {
		key := [2]string{place.Table, place.Column}
		c := counts[key]
		if c == nil {
			c = &columnCount{}
			counts[key] = c
		}
		c.ids++
		c.rows += place.Rows
		if foreign {
			c.foreign++
		}
		if slices.Contains(retained, place) {
			c.retained++
		}
	}
}

// keep stores a page, and with it where the next one begins: no page counts twice.
func (a *Auditor) keep(ctx context.Context, tx pgx.Tx, id uuid.UUID, holder string, page []participant.Holding, next string) error {
	ids := make([]string, len(page), len(page)+1)
	for i, h := range page {
		ids[i] = h.UserID
	}
	if next != "" {
		ids = append(ids, next)
	}
	// An erasure of one of them waits for this page and deletes what it stored, or
	// was before it and has left a tombstone.
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(hashtextextended('identity-relay user ' || id, 0)) FROM unnest($1::text[]) AS id`, ids)
	if err != nil {
		return fmt.Errorf("lock users: %w", err)
	}
	erased, err := a.erased(ctx, tx, ids)
	if err != nil {
		return err
	}
	counts := columnCounts{}
	goneNext := erased[next]
	for _, h := range page {
		gone := h.Erased || erased[h.UserID]
		goneNext = goneNext || gone && h.UserID == next
		places, retained := h.Places, []participant.HeldPlace(nil)
		if gone {
			places, retained = split(h.Places)
		}
		if len(places) > 0 && !a.foreign(h.UserID) {
			if err := a.store(ctx, tx, id, holder, h.UserID, gone, places); err != nil {
				return err
			}
		}
		counts.add(h.Places, retained, a.foreign(h.UserID))
	}
	for column, c := range counts {
		_, err := tx.Exec(ctx, `INSERT INTO orphan_audit_columns AS o (audit_id, holder, held_table, held_column, ids, held_rows, retained_ids, foreign_ids)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (audit_id, holder, held_table, held_column) DO UPDATE SET ids = o.ids + excluded.ids, held_rows = o.held_rows + excluded.held_rows,
				retained_ids = o.retained_ids + excluded.retained_ids, foreign_ids = o.foreign_ids + excluded.foreign_ids`,
			id, holder, column[0], column[1], c.ids, c.rows, c.retained, c.foreign)
		if err != nil {
			return fmt.Errorf("count a column: %w", err)
		}
	}
	if err := a.advance(ctx, tx, id, holder, next, goneNext); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE orphan_audit_holders SET ids = ids + $3, complete = complete OR $4, problem = '' WHERE audit_id = $1 AND holder = $2`,
		id, holder, len(page), next == "")
	return err
}

// store keeps an ID until the list names it. The ID of somebody who was erased
// is not kept, only its hash.
func (a *Auditor) store(ctx context.Context, tx pgx.Tx, id uuid.UUID, holder, userID string, gone bool, places []participant.HeldPlace) error {
	raw, err := json.Marshal(places)
	if err != nil {
		return fmt.Errorf("encode places: %w", err)
	}
	finding, kept := "held", &userID
	if gone {
		finding, kept = "erased", nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO orphan_audit_ids (audit_id, holder, user_hash, user_id, finding, places) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (audit_id, holder, user_hash) DO NOTHING`, id, holder, a.Tombstones.Hash(userID), kept, finding, raw)
	if err != nil {
		return fmt.Errorf("keep an ID: %w", err)
	}
	return nil
}

// split tells what an erasure should have taken from what it keeps.
func split(places []participant.HeldPlace) (left, retained []participant.HeldPlace) {
	for _, p := range places {
		if p.Disposition == participant.Retain {
			retained = append(retained, p)
		} else {
			left = append(left, p)
		}
	}
	return left, retained
}

func (a *Auditor) erased(ctx context.Context, tx pgx.Tx, ids []string) (map[string]bool, error) {
	var hashes [][]byte
	for _, id := range ids {
		hashes = append(hashes, a.Tombstones.Hashes(id)...)
	}
	rows, err := tx.Query(ctx, `SELECT hash FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted`, hashes)
	if err != nil {
		return nil, fmt.Errorf("look for tombstones: %w", err)
	}
	buried, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("look for tombstones: %w", err)
	}
	erased := map[string]bool{}
	if len(buried) == 0 {
		return erased, nil
	}
	for _, id := range ids {
		erased[id] = slices.ContainsFunc(a.Tombstones.Hashes(id), func(h []byte) bool {
			return slices.ContainsFunc(buried, func(b []byte) bool { return bytes.Equal(b, h) })
		})
	}
	return erased, nil
}
