package revocations

import (
	"context"
	"fmt"
)

// Prune removes rows that nothing needs any more, the oldest first and at most so
// many, and returns how many it has removed.
func Prune(ctx context.Context, db Execer, most int) (int64, error) {
	tag, err := db.Exec(ctx, `DELETE FROM revocations WHERE (kind, key) IN (SELECT kind, key FROM revocations
		WHERE expires_at < now() AND NOT pending ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)`, most)
	if err != nil {
		return 0, fmt.Errorf("prune revocations: %w", err)
	}
	return tag.RowsAffected(), nil
}
