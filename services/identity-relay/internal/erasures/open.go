package erasures

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Open opens an erasure for the user, unless one is open already: then it
// returns that one's ID and false. Beyond the source's limit the new one is held.
func Open(ctx context.Context, tx pgx.Tx, s Settings, userID, source string) (id uuid.UUID, opened bool, err error) {
	// Counting and opening must not be overtaken by another transaction.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('identity-relay breaker ' || $1, 0))`, source); err != nil {
		return id, false, fmt.Errorf("lock the breaker: %w", err)
	}
	now := s.Now().UTC()
	var recent int
	err = tx.QueryRow(ctx, `SELECT count(*) FROM erasures
		WHERE source = $1 AND opened_at > $2::timestamptz - interval '1 hour'`, source, now).Scan(&recent)
	if err != nil {
		return id, false, fmt.Errorf("count recent erasures: %w", err)
	}
	state := Grace
	if recent >= s.PerHour {
		state = Held
	}
	if id, err = uuid.NewV7(); err != nil {
		return id, false, fmt.Errorf("make an erasure ID: %w", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (user_id) WHERE state <> 'complete' DO NOTHING`,
		id, userID, s.Tombstones.Hash(userID), s.Tombstones.KeyID(), source, string(state), now, now.Add(s.Grace))
	if err != nil {
		return id, false, fmt.Errorf("open erasure: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return id, true, nil
	}
	err = tx.QueryRow(ctx, `SELECT id FROM erasures WHERE user_id = $1 AND state <> 'complete'`, userID).Scan(&id)
	if err != nil {
		return id, false, fmt.Errorf("find the open erasure: %w", err)
	}
	return id, false, nil
}

// Release lets a held erasure go on; its grace period starts now. It returns
// ErrNotFound or ErrNotHeld.
func Release(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID) error {
	tag, err := tx.Exec(ctx, `UPDATE erasures SET state = 'grace', grace_until = $2 WHERE id = $1 AND state = 'held'`,
		id, s.Now().UTC().Add(s.Grace))
	if err != nil {
		return fmt.Errorf("release erasure: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	if _, _, err := Get(ctx, tx, id); err != nil {
		return err
	}
	return ErrNotHeld
}
