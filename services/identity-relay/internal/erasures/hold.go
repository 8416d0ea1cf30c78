package erasures

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// LegalHold keeps a user's data from being erased until it is lifted.
type LegalHold struct {
	ID        uuid.UUID
	UserHash  []byte
	HashKeyID string
	Reason    string
	PlacedAt  time.Time
	PlacedBy  string
}

// Hold stops an erasure that has asked nobody yet, by a legal hold on its user.
// It returns ErrNotFound, ErrUnderWay, ErrHoldExists or ErrReason.
func Hold(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, by Decider) error {
	e, userID, err := lock(ctx, tx, id)
	switch {
	case err != nil:
		return err
	case e.State != Grace && e.State != Held:
		return ErrUnderWay
	}
	_, err = place(ctx, tx, s, userID, by)
	return err
}

// HoldUser places a legal hold on a user, whether or not an erasure is open; one
// that is opened later is held, and what a complete one left for a time stays. It returns ErrUnderWay if participants are asked
// to erase the user's data already, ErrRekeyed if the data is under another ID now or
// on its way there, ErrHoldExists or ErrReason.
func HoldUser(ctx context.Context, tx pgx.Tx, s Settings, userID string, by Decider) (LegalHold, error) {
	// Who records a deletion holds the shared lock: either they see the hold, or
	// this sees their erasure.
	if err := LockUser(ctx, tx, userID, true); err != nil {
		return LegalHold{}, err
	}
	// Not the row of one that is requested: there is nothing to hold any more.
	if _, err := tx.Exec(ctx, `SELECT FROM erasures WHERE user_id = $1 AND state IN ('grace', 'held') FOR UPDATE`, userID); err != nil {
		return LegalHold{}, fmt.Errorf("lock the open erasure: %w", err)
	}
	var asked, rekeyed bool
	// By hash: an erasure that the relay has sealed does not know its user any more.
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasures WHERE user_hash = ANY($1) AND state = 'requested'),
		EXISTS (SELECT FROM rekeyings WHERE old_hash = ANY($1))`, s.Tombstones.Hashes(userID)).Scan(&asked, &rekeyed)
	switch {
	case err != nil:
		return LegalHold{}, fmt.Errorf("look for what is under way: %w", err)
	case asked:
		return LegalHold{}, ErrUnderWay
	case rekeyed:
		return LegalHold{}, ErrRekeyed
	}
	return place(ctx, tx, s, userID, by)
}

func place(ctx context.Context, tx pgx.Tx, s Settings, userID string, by Decider) (LegalHold, error) {
	if by.names(userID) {
		return LegalHold{}, ErrReason
	}
	existing, err := HoldOf(ctx, tx, s.Tombstones, userID)
	if err != nil {
		return LegalHold{}, err
	}
	if existing != nil {
		return LegalHold{}, ErrHoldExists
	}
	h := LegalHold{
		UserHash: s.Tombstones.Hash(userID), HashKeyID: s.Tombstones.KeyID(), Reason: by.Reason,
		PlacedAt: s.Now().UTC().Truncate(time.Microsecond), PlacedBy: by.By,
	}
	if h.ID, err = uuid.NewV7(); err != nil {
		return h, fmt.Errorf("make a hold's ID: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO legal_holds (id, user_hash, hash_key_id, reason, placed_at, placed_by) VALUES ($1, $2, $3, $4, $5, $6)`,
		h.ID, h.UserHash, h.HashKeyID, h.Reason, h.PlacedAt, h.PlacedBy)
	if err != nil {
		return h, fmt.Errorf("store the hold: %w", err)
	}
	var erasureID uuid.UUID
	err = tx.QueryRow(ctx, `UPDATE erasures SET state = 'held', hold_id = $2 WHERE user_id = $1 AND state IN ('grace', 'held') RETURNING id`,
		userID, h.ID).Scan(&erasureID)
	if err == nil {
		err = decide(ctx, tx, erasureID, decidedHeld, by, h.PlacedAt)
	} else if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return h, fmt.Errorf("hold the erasure: %w", err)
	}
	return h, keep(ctx, tx, s, h, userID, by)
}

// HoldOf is the ID of the hold that the user is under, or nil.
func HoldOf(ctx context.Context, db RowQuerier, tombstones *participant.Tombstones, userID string) (*uuid.UUID, error) {
	return holdOf(ctx, db, tombstones, userID, "")
}

// holdOf is HoldOf; with FOR SHARE nobody lifts the hold until the transaction
// ends, and one that is being lifted is waited for.
func holdOf(ctx context.Context, db RowQuerier, tombstones *participant.Tombstones, userID, locking string) (*uuid.UUID, error) {
	var id uuid.UUID
	err := db.QueryRow(ctx, `SELECT id FROM legal_holds WHERE user_hash = ANY($1) AND lifted_at IS NULL LIMIT 1 `+locking,
		tombstones.Hashes(userID)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a legal hold: %w", err)
	}
	return &id, nil
}

// Release lets a held erasure go on, whoever held it: the breaker, a legal hold,
// which is lifted, or both. Its grace period starts now. It returns ErrNotFound
// or ErrNotHeld.
func Release(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, by Decider) error {
	// The hold before the erasure's row, as Lift.
	_, err := tx.Exec(ctx, `SELECT FROM legal_holds WHERE id = (SELECT hold_id FROM erasures WHERE id = $1) FOR NO KEY UPDATE`, id)
	if err != nil {
		return fmt.Errorf("lock the legal hold: %w", err)
	}
	e, _, err := lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if e.State != Held {
		return ErrNotHeld
	}
	now := s.Now().UTC()
	lifted, err := returned(ctx, tx, `UPDATE legal_holds SET lifted_at = $2, lifted_by = $3
		WHERE lifted_at IS NULL AND id = (SELECT hold_id FROM erasures WHERE id = $1) RETURNING id`, id, now, by.By)
	if err != nil {
		return fmt.Errorf("lift the legal hold: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE erasures SET state = 'grace', grace_until = $2, over_limit = false, hold_id = NULL,
		checked_at = NULL, next_check_at = NULL WHERE id = $1`, id, now.Add(s.Grace))
	if err != nil {
		return fmt.Errorf("release erasure: %w", err)
	}
	if err := decide(ctx, tx, id, decidedReleased, by, now); err != nil {
		return err
	}
	for _, hold := range lifted {
		if err := letGo(ctx, tx, hold, by, now); err != nil {
			return err
		}
	}
	return nil
}

// Lift ends a legal hold. An erasure that nothing else holds goes on, with a
// grace period that starts now. It returns ErrNoHold.
func Lift(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, by Decider) error {
	now := s.Now().UTC()
	tag, err := tx.Exec(ctx, `UPDATE legal_holds SET lifted_at = $2, lifted_by = $3 WHERE id = $1 AND lifted_at IS NULL`, id, now, by.By)
	if err != nil {
		return fmt.Errorf("lift the legal hold: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNoHold
	}
	freed, err := returned(ctx, tx, `UPDATE erasures SET hold_id = NULL, grace_until = $2, checked_at = NULL, next_check_at = NULL,
		state = CASE WHEN over_limit THEN 'held' ELSE 'grace' END WHERE hold_id = $1 AND state = 'held' RETURNING id`, id, now.Add(s.Grace))
	if err != nil {
		return fmt.Errorf("let the erasure go on: %w", err)
	}
	for _, erasureID := range freed {
		if err := decide(ctx, tx, erasureID, decidedReleased, by, now); err != nil {
			return err
		}
	}
	return letGo(ctx, tx, id, by, now)
}

// Holds lists the legal holds that are not lifted, oldest first, behind after.
func Holds(ctx context.Context, db Querier, after uuid.UUID, limit int) ([]LegalHold, error) {
	rows, err := db.Query(ctx, `SELECT id, user_hash, hash_key_id, reason, placed_at, placed_by FROM legal_holds
		WHERE lifted_at IS NULL AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list legal holds: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LegalHold])
	if err != nil {
		return nil, fmt.Errorf("list legal holds: %w", err)
	}
	return list, nil
}
