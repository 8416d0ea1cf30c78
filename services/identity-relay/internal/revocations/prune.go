package revocations

import (
	"context"
	"fmt"

	"github.com/shadowless/shadowless/internal/postgres"
)

// Prune removes rows that nothing needs any more, the oldest first.
func Prune(ctx context.Context, db postgres.Execer) error {
	err := postgres.InChunks(ctx, db, `DELETE FROM revocations WHERE (kind, key) IN (SELECT kind, key FROM revocations
		WHERE expires_at < now() AND NOT pending ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)`)
	if err != nil {
		return fmt.Errorf("prune revocations: %w", err)
	}
	return nil
}
