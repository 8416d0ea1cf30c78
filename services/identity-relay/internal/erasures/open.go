package erasures

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Open opens an erasure for the user, unless one is open already: then it
// returns that one's ID and false. Beyond the source's limit, or under a legal
// hold, the new one is held. The caller holds the user's lock (LockUser).
func Open(ctx context.Context, tx pgx.Tx, s Settings, userID, source string) (id uuid.UUID, opened bool, err error) {
	now := s.Now().UTC()
	recent, err := openedLately(ctx, tx, source, now)
	if err != nil {
		return id, false, err
	}
	// Either who lifts the hold sees this erasure, or this sees that it is lifted.
	hold, err := holdOf(ctx, tx, s.Tombstones, userID, "FOR SHARE")
	if err != nil {
		return id, false, err
	}
	state, overLimit := Grace, recent >= s.PerHour
	if overLimit || hold != nil {
		state = Held
	}
	if id, err = uuid.NewV7(); err != nil {
		return id, false, fmt.Errorf("make an erasure ID: %w", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO erasures
		(id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, over_limit, hold_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (user_id) WHERE state <> 'complete' DO NOTHING`,
		id, userID, s.Tombstones.Hash(userID), s.Tombstones.KeyID(), source, string(state), now, now.Add(s.Grace), overLimit, hold)
	if err != nil {
		return id, false, fmt.Errorf("open erasure: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return id, true, countOpened(ctx, tx, source, now)
	}
	err = tx.QueryRow(ctx, `SELECT id FROM erasures WHERE user_id = $1 AND state <> 'complete'`, userID).Scan(&id)
	if err != nil {
		return id, false, fmt.Errorf("find the open erasure: %w", err)
	}
	return id, false, nil
}

// Superseded reports whether the user was readmitted, or an erasure withdrawn,
// after the time at which a deletion is said to have happened: that deletion is
// told late, and erasing for it would take data that was put there since.
func Superseded(ctx context.Context, tx pgx.Tx, s Settings, userID string, deletedAt time.Time) (later bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasures
		WHERE user_hash = ANY($1) AND greatest(withdrawn_at, readmitted_at) >= $2)`, s.Tombstones.Hashes(userID), deletedAt).Scan(&later)
	if err != nil {
		return false, fmt.Errorf("look for a readmission: %w", err)
	}
	return later, nil
}

// lock takes the erasure's row and returns the erasure with its user, whose ID
// is known while the erasure is open. It returns ErrNotFound.
func lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (e Erasure, userID string, err error) {
	err = tx.QueryRow(ctx, `SELECT user_id FROM erasures WHERE id = $1 FOR UPDATE`, id).Scan(&userID)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, "", ErrNotFound
	}
	if err != nil {
		return e, "", fmt.Errorf("lock erasure: %w", err)
	}
	e, err = Get(ctx, tx, id)
	return e, userID, err
}
