package erasures

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
)

// keep has participants keep what complete erasures of the user left with them for
// a time: until the hold is lifted they erase none of it.
func keep(ctx context.Context, tx pgx.Tx, s Settings, h LegalHold, userID string, by Decider) error {
	ids, err := returned(ctx, tx, `UPDATE erasures SET hold_id = $1, outdated = true
		WHERE user_hash = ANY($2) AND state = 'complete' AND readmitted_at IS NULL RETURNING id`, h.ID, s.Tombstones.Hashes(userID))
	if err != nil {
		return fmt.Errorf("hold what is kept: %w", err)
	}
	return tellKept(ctx, tx, ids, identity.TypeErasureHeld, decidedHeld, by, h.PlacedAt)
}

// letGo ends what keep began.
func letGo(ctx context.Context, tx pgx.Tx, hold uuid.UUID, by Decider, now time.Time) error {
	ids, err := returned(ctx, tx, `UPDATE erasures SET hold_id = NULL, outdated = true WHERE hold_id = $1 AND state = 'complete' RETURNING id`, hold)
	if err != nil {
		return fmt.Errorf("let go what is kept: %w", err)
	}
	return tellKept(ctx, tx, ids, identity.TypeErasureReleased, decidedReleased, by, now)
}

// tellKept notes the decision about each erasure and tells it. Who was erased is
// known by the erasure alone. Call it last: see eventlog.Append.
func tellKept(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, eventType, decision string, by Decider, at time.Time) error {
	drafts := make([]eventlog.Draft, 0, len(ids))
	for _, id := range ids {
		if err := decide(ctx, tx, id, decision, by, at); err != nil {
			return err
		}
		drafts = append(drafts, eventlog.NewDraft(ctx, Self, identity.Event{
			Type: eventType, Time: at, UserID: pseudonymOf(id), ErasureID: id.String(),
		}))
	}
	_, err := eventlog.AppendAll(ctx, tx, drafts)
	return err
}

func returned(ctx context.Context, tx pgx.Tx, statement string, args ...any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
