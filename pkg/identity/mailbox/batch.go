package mailbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// process takes deliveries to their end and returns how many, from the front, it
// has taken there. whole is false if they could not share a transaction, in
// which case each has had one of its own.
func (l *lanes) process(run context.Context, batch []delivery, t terms) (n int, whole bool) {
	c := l.consumer
	l.release(batch...)
	if len(batch) == 1 {
		return 1, c.process(run, batch[0], t)
	}
	ctx := context.WithoutCancel(run)
	tx, deadline, err := c.begin(run, ctx, batch, t)
	if err != nil {
		for _, d := range batch {
			c.settle(ctx, d.raw.NakWithDelay(c.config.Backoff[0])) // not the messages' fault
		}
		return len(batch), true
	}
	working, cancel := context.WithDeadline(ctx, deadline.Add(-t.ackWait/5))
	n, err = c.applyBatch(working, tx, batch, deadline.Add(-t.ackWait*3/5))
	cancel()
	if err == nil {
		l.hold(batch[n:]...)
		c.acknowledge(ctx, batch[:n], t)
		return n, true
	}
	c.config.Logger.WarnContext(ctx, "batch failed, its messages are applied one by one",
		"messages", len(batch), "cause", reason(err))
	l.hold(batch...)
	for _, d := range batch {
		l.release(d)
		c.process(run, d, t)
	}
	return len(batch), false
}

// applyBatch writes the inbox rows in one statement, runs the handler for each
// message that was not applied before, in order, and commits. Once enough is
// reached it takes no further message into the transaction: a batch of slow
// messages is committed in parts, not rolled back at its deadline.
func (c *Consumer) applyBatch(ctx context.Context, tx pgx.Tx, batch []delivery, enough time.Time) (n int, err error) {
	defer c.rollback(ctx, tx)
	unseen, err := c.receive(ctx, tx, batch)
	if err != nil {
		return 0, err
	}
	applied := len(unseen) > 0
	for _, d := range batch {
		if n > 0 && time.Now().After(enough) {
			break
		}
		n++
		if !unseen[d.ID] {
			continue // applied before, or the same message twice in this batch
		}
		delete(unseen, d.ID)
		if err := c.traced(ctx, tx, d); err != nil {
			return 0, err
		}
	}
	if err := c.giveBack(ctx, tx, unseen); err != nil {
		return 0, err
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	if applied && c.config.OnCommit != nil {
		c.config.OnCommit()
	}
	return n, nil
}

// receive returns the IDs that had no inbox row yet. The rows are written in the
// order of their IDs, so that two replicas with overlapping batches wait for each
// other and do not deadlock.
func (c *Consumer) receive(ctx context.Context, tx pgx.Tx, batch []delivery) (map[string]bool, error) {
	ids := make([]string, len(batch))
	for i, d := range batch {
		ids[i] = d.ID
	}
	rows, err := tx.Query(ctx, `INSERT INTO mailbox_inbox (consumer, message_id)
		SELECT $1, id FROM unnest($2::text[]) AS id ORDER BY id
		ON CONFLICT DO NOTHING RETURNING message_id`, c.config.Durable, ids)
	if err != nil {
		return nil, fmt.Errorf("write inbox: %w", err)
	}
	unseen := make(map[string]bool, len(batch))
	var id string
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { unseen[id] = true; return nil }); err != nil {
		return nil, fmt.Errorf("write inbox: %w", err)
	}
	return unseen, nil
}

// giveBack removes the inbox rows of messages that the transaction leaves out.
func (c *Consumer) giveBack(ctx context.Context, tx pgx.Tx, left map[string]bool) error {
	if len(left) == 0 {
		return nil
	}
	ids := make([]string, 0, len(left))
	for id := range left {
		ids = append(ids, id)
	}
	_, err := tx.Exec(ctx, `DELETE FROM mailbox_inbox WHERE consumer = $1 AND message_id = ANY($2)`, c.config.Durable, ids)
	if err != nil {
		return fmt.Errorf("write inbox: %w", err)
	}
	return nil
}

// acknowledge comes after the commit. Only the last acknowledgment is waited
// for: the server takes them in the order of the connection, and one that is
// lost with it brings back a message that finds its inbox row.
func (c *Consumer) acknowledge(ctx context.Context, batch []delivery, t terms) {
	last := len(batch) - 1
	for _, d := range batch[:last] {
		c.settle(ctx, d.raw.Ack())
	}
	acking, cancel := context.WithTimeout(ctx, t.ackWait)
	defer cancel()
	c.settle(ctx, batch[last].raw.DoubleAck(acking))
}
