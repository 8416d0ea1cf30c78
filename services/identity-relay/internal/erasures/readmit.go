package erasures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// Readmit lets the user of an erasure come back. Before data was touched that
// withdraws the erasure; afterwards it lifts the tombstones everywhere, and what
// was erased stays erased. userID must be the erasure's, which is known by its
// hash alone. It returns ErrNotFound, ErrOtherUser, ErrReason,
// ErrUnderWay or ErrReadmitted.
func Readmit(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, userID string, by Decider) error {
	e, err := Get(ctx, tx, id)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Tombstones.Hashes(userID), func(h []byte) bool { return bytes.Equal(h, e.UserHash) }) {
		return ErrOtherUser
	}
	if by.names(userID) {
		return ErrReason
	}
	// The user before the rows, as HoldUser and who records a fact.
	if err := LockUser(ctx, tx, userID, true); err != nil {
		return err
	}
	if e, _, err = lock(ctx, tx, id); err != nil {
		return err
	}
	switch {
	case e.State == Requested:
		return ErrUnderWay
	case e.State == Withdrawn || e.ReadmittedAt != nil:
		return ErrReadmitted
	case e.State != Complete:
		return withdraw(ctx, tx, s, e, userID, by)
	}
	now := s.Now().UTC()
	// Every earlier erasure of the same user, too: none of them may be opened again.
	_, err = tx.Exec(ctx, `UPDATE erasures SET readmitted_at = $2, outdated = true
		WHERE user_hash = ANY($1) AND state = 'complete' AND readmitted_at IS NULL`, s.Tombstones.Hashes(userID), now)
	if err != nil {
		return fmt.Errorf("mark erasure as readmitted: %w", err)
	}
	if err := decide(ctx, tx, id, decidedReadmitted, by, now); err != nil {
		return err
	}
	return welcome(ctx, tx, s, id, userID, now)
}

// Withdraw takes an erasure back that has asked nobody yet, because the user was
// found at the identity provider by a look-up that began at lookedUpAt. An
// erasure that was opened since stands. It reports whether there was one. The
// caller holds the user's lock (LockUser): Rescue takes it.
func Withdraw(ctx context.Context, tx pgx.Tx, s Settings, userID string, lookedUpAt time.Time, by Decider) (bool, error) {
	var id uuid.UUID
	err := tx.QueryRow(ctx, `SELECT id FROM erasures
		WHERE user_id = $1 AND state IN ('grace', 'held') AND opened_at < $2 FOR UPDATE`, userID, lookedUpAt).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the open erasure: %w", err)
	}
	e, err := Get(ctx, tx, id)
	if err != nil {
		return false, err
	}
	return true, withdraw(ctx, tx, s, e, userID, by)
}

// Rescue locks the user and withdraws, because the look-up found them. The user
// comes before the erasure's row: who records a fact about them, and then
// withdraws, has them locked and the next version taken.
func Rescue(ctx context.Context, tx pgx.Tx, s Settings, userID string, lookedUpAt time.Time) (bool, error) {
	if err := LockUser(ctx, tx, userID, true); err != nil {
		return false, err
	}
	return Withdraw(ctx, tx, s, userID, lookedUpAt, Reappeared)
}

func withdraw(ctx context.Context, tx pgx.Tx, s Settings, e Erasure, userID string, by Decider) error {
	now := s.Now().UTC()
	_, err := tx.Exec(ctx, `UPDATE erasures SET state = 'withdrawn', withdrawn_at = $2, user_id = $3, over_limit = false, hold_id = NULL
		WHERE id = $1`, e.ID, now, pseudonymOf(e.ID))
	if err != nil {
		return fmt.Errorf("withdraw erasure: %w", err)
	}
	if err := decide(ctx, tx, e.ID, decidedWithdrawn, by, now); err != nil {
		return err
	}
	return welcome(ctx, tx, s, e.ID, userID, now)
}

// welcome lifts what keeps the user out, here and, by the event, everywhere.
func welcome(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, userID string, now time.Time) error {
	key := authn.NewRevocationKey(authn.BlockedUser, userID)
	if _, err := revocations.Lift(ctx, tx, authn.BlockedUser, key, revocations.CauseDeleted, now); err != nil {
		return err
	}
	e, err := eventlog.Append(ctx, tx, Self, identity.Event{
		Type: identity.TypeErasureReadmitted, Time: now, UserID: userID, ErasureID: id.String(),
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE participant_tombstones SET lifted = true, version = $2, changed_at = $3 WHERE hash = ANY($1)`,
		s.Tombstones.Hashes(userID), int64(e.Version), now) //nolint:gosec // versions stay far below 2^63
	if err != nil {
		return fmt.Errorf("lift the tombstone: %w", err)
	}
	return nil
}

// pseudonymOf stands in the place of the user ID once it is not needed.
func pseudonymOf(id uuid.UUID) string { return "erased:" + id.String() }
