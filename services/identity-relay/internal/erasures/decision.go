package erasures

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Decisions about an erasure.
const (
	decidedHeld       = "held"
	decidedReleased   = "released"
	decidedWithdrawn  = "withdrawn"
	decidedAskedAgain = "asked_again"
	decidedReopened   = "reopened"
	decidedReadmitted = "readmitted"
)

// Decision is what somebody decided about an erasure, and why.
type Decision struct {
	Decision string
	// By is an operator's client, or the relay.
	By     string
	Reason string
	At     time.Time
}

// Decider is who decides, and why.
type Decider struct {
	By     string
	Reason string
}

// names reports whether the reason, which outlives the erasure, names the user.
func (d Decider) names(userID string) bool { return strings.Contains(d.Reason, userID) }

func decide(ctx context.Context, tx pgx.Tx, id uuid.UUID, decision string, d Decider, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO erasure_decisions (erasure_id, decision, decided_by, reason, decided_at) VALUES ($1, $2, $3, $4, $5)`,
		id, decision, d.By, d.Reason, at)
	if err != nil {
		return fmt.Errorf("note the decision: %w", err)
	}
	return nil
}

func decisionsOf(ctx context.Context, db Querier, id uuid.UUID) ([]Decision, error) {
	rows, err := db.Query(ctx, `SELECT decision, decided_by, reason, decided_at FROM erasure_decisions WHERE erasure_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Decision])
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	return list, nil
}
