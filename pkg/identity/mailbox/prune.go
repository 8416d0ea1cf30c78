package mailbox

import (
	"context"
	"time"
)

// pruneChunk is how many rows a statement removes at most. However many are old,
// each ends before its timeout, and what it has removed stays removed.
const pruneChunk = 10_000

// prune removes what no message that can still come needs.
func (c *Consumer) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		for _, statement := range []string{
			`DELETE FROM mailbox_inbox WHERE consumer = $1 AND message_id IN (SELECT message_id FROM mailbox_inbox
				WHERE consumer = $1 AND received_at < now() - $2::interval ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED)`,
			`DELETE FROM mailbox_versions WHERE consumer = $1 AND (scope, key_hash) IN (SELECT scope, key_hash FROM mailbox_versions
				WHERE consumer = $1 AND changed_at < now() - $2::interval LIMIT $3 FOR UPDATE SKIP LOCKED)`,
		} {
			if err := c.pruneAll(ctx, statement); err != nil && ctx.Err() == nil {
				c.config.Logger.WarnContext(ctx, "pruning the inbox failed", "cause", reason(err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pruneAll removes chunks until one is not full. Rows that are locked stay for the
// next time.
func (c *Consumer) pruneAll(ctx context.Context, statement string) error {
	for {
		tag, err := c.pool.Exec(ctx, statement, c.config.Durable, c.config.InboxRetention, pruneChunk)
		if err != nil || tag.RowsAffected() < pruneChunk {
			return err
		}
	}
}
