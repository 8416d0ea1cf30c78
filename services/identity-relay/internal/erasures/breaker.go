package erasures

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// reopened is the breaker's name for erasures that were complete; sources have others.
const reopened = "reopened"

// openedLately tells how many erasures were opened within the last hour, or in the
// minute that it began in. Until tx ends nobody else opens one from this source.
func openedLately(ctx context.Context, tx pgx.Tx, source string, now time.Time) (n int, err error) {
	// Counting and opening must not be overtaken by another transaction.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('identity-relay breaker ' || $1, 0))`, source); err != nil {
		return 0, fmt.Errorf("lock the breaker: %w", err)
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(sum(opened), 0)::bigint FROM erasure_breaker
		WHERE source = $1 AND minute >= date_trunc('minute', $2::timestamptz - interval '1 hour')`, source, now).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count recent erasures: %w", err)
	}
	return n, nil
}

func countOpened(ctx context.Context, tx pgx.Tx, source string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO erasure_breaker AS b (source, minute, opened) VALUES ($1, date_trunc('minute', $2::timestamptz), 1)
		ON CONFLICT (source, minute) DO UPDATE SET opened = b.opened + 1`, source, now)
	if err != nil {
		return fmt.Errorf("count an erasure: %w", err)
	}
	return nil
}
