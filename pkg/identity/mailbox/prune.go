package mailbox

import (
	"context"
	"time"
)

// prune removes what no message that can still come needs.
func (c *Consumer) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		for _, statement := range []string{
			`DELETE FROM mailbox_inbox WHERE consumer = $1 AND received_at < now() - $2::interval`,
			`DELETE FROM mailbox_versions WHERE consumer = $1 AND changed_at < now() - $2::interval`,
		} {
			if _, err := c.pool.Exec(ctx, statement, c.config.Durable, c.config.InboxRetention); err != nil && ctx.Err() == nil {
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
