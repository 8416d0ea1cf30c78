package rekeyings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// Refusals to begin.
var (
	ErrErased   = errors.New("one of the users was erased")
	ErrErasing  = errors.New("one of the users is under an erasure")
	ErrRekeying = errors.New("one of the users is under another rekeying")
	ErrHeld     = errors.New("one of the users is under a legal hold")
)

// Change is what is asked for.
type Change struct {
	OldID, NewID string
	RequestedBy  string
	// Again asks everybody once more.
	Again bool
}

// existing finds the rekeying of the same two users: an open one, or a complete
// one unless everybody is to be asked again.
func (s *Service) existing(ctx context.Context, db erasures.Querier, c Change) (found Rekeying, ok bool, err error) {
	list, err := read(ctx, db, `WHERE r.old_hash = ANY($1) AND r.new_hash = ANY($2) AND (r.state <> 'complete' OR NOT $3) ORDER BY r.id DESC LIMIT 1`,
		s.Tombstones.Hashes(c.OldID), s.Tombstones.Hashes(c.NewID), c.Again)
	if err != nil || len(list) == 0 {
		return found, false, err
	}
	return list[0], true, nil
}

// open writes everything that begins a rekeying, in one transaction: who must
// answer, the old ID's block, and the event that asks.
func (s *Service) open(ctx context.Context, tx pgx.Tx, c Change) (id uuid.UUID, err error) {
	if err := peers.LockUsers(ctx, tx, c.OldID, c.NewID); err != nil {
		return id, err
	}
	found, ok, err := s.existing(ctx, tx, c)
	if err != nil || ok {
		return found.ID, err
	}
	if err := s.refuse(ctx, tx, c); err != nil {
		return id, err
	}
	if id, err = uuid.NewV7(); err != nil {
		return id, fmt.Errorf("make a rekeying ID: %w", err)
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{
			`INSERT INTO rekeyings (id, old_hash, new_hash, hash_key_id, requested_by, state, opened_at, due_at)
				VALUES ($1, $2, $3, $4, $5, 'requested', $6, $7)`,
			[]any{id, s.Tombstones.Hash(c.OldID), s.Tombstones.Hash(c.NewID), s.Tombstones.KeyID(), c.RequestedBy, now, now.Add(s.Deadline)},
		},
		{`INSERT INTO rekeying_users (rekeying_id, role, user_id) VALUES ($1, 'old', $2), ($1, 'new', $3)`, []any{id, c.OldID, c.NewID}},
		// By the clock of the database, which the registry goes by.
		{`INSERT INTO rekeying_participants (rekeying_id, participant)
			SELECT $1, name FROM participants WHERE retired_at IS NULL AND (since <= now() OR name = $2)`, []any{id, erasures.Self}},
	} {
		if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
			return id, fmt.Errorf("open a rekeying: %w", err)
		}
	}
	if _, err := revocations.Revoke(ctx, tx, authn.BlockedUser, c.OldID, causeRekeyed, now); err != nil {
		return id, err
	}
	data, err := json.Marshal(identity.Rekeying{RekeyID: id.String(), NewUserID: c.NewID})
	if err != nil {
		return id, fmt.Errorf("encode the event: %w", err)
	}
	_, err = eventlog.Append(ctx, tx, c.RequestedBy, identity.Event{Type: identity.TypeUserRekeyed, Time: now, UserID: c.OldID, Data: data})
	return id, err
}

// refuse says why the two cannot be rekeyed now.
func (s *Service) refuse(ctx context.Context, db erasures.RowQuerier, c Change) error {
	var oldErased, newErased, rekeyedBefore, erasing, rekeying bool
	err := db.QueryRow(ctx, `SELECT
			EXISTS (SELECT FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted),
			EXISTS (SELECT FROM participant_tombstones WHERE hash = ANY($2) AND NOT lifted),
			EXISTS (SELECT FROM rekeyings WHERE old_hash = ANY($1) AND new_hash = ANY($2)),
			EXISTS (SELECT FROM erasures WHERE user_id = ANY($3) AND state IN ('held', 'grace', 'requested')),
			EXISTS (SELECT FROM rekeying_users WHERE user_id = ANY($3))`,
		s.Tombstones.Hashes(c.OldID), s.Tombstones.Hashes(c.NewID), []string{c.OldID, c.NewID}).
		Scan(&oldErased, &newErased, &rekeyedBefore, &erasing, &rekeying)
	switch {
	case err != nil:
		return fmt.Errorf("look for what forbids the rekeying: %w", err)
	case rekeying:
		return ErrRekeying
	case newErased, oldErased && (!c.Again || !rekeyedBefore):
		return ErrErased
	case erasing:
		return ErrErasing
	}
	// A hold keeps data as it is under the ID that it is on: merging rows changes
	// them, and under another ID nothing would hold them.
	for _, userID := range []string{c.OldID, c.NewID} {
		hold, err := erasures.HoldOf(ctx, db, s.Tombstones, userID)
		if err != nil {
			return err
		}
		if hold != nil {
			return ErrHeld
		}
	}
	return nil
}
