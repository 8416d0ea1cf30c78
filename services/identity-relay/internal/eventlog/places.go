package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// maxSkipped bounds how many places are looked at for one batch. An outage skips
// at most a batch of 100 per duplicate window; more were skipped when the database was
// restored from a backup, and then the log does not know the events either.
const maxSkipped = 10_000

// Places remembers where JetStream keeps each event, so that the messages of an
// erased user can be deleted.
type Places struct {
	JetStream jetstream.JetStream
	Stream    string
}

// Published is the publisher's hook.
func (l Places) Published(ctx context.Context, tx pgx.Tx, published []mailbox.Published) error {
	ids := make([]string, len(published))
	sequences := make([]int64, len(published))
	known := make(map[int64]bool, len(published))
	var newest int64
	for i, p := range published {
		ids[i], sequences[i] = p.MessageID, int64(p.Sequence) //nolint:gosec // sequences stay far below 2^63
		known[sequences[i]] = true
		newest = max(newest, sequences[i])
	}
	// A message that is published twice after a crash has two places, unless the
	// stream dropped the second one within its window. Both are kept, so that an
	// erasure finds both.
	_, err := tx.Exec(ctx, `WITH p AS (SELECT unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS sequence),
		copies AS (INSERT INTO event_copies (event_id, stream_sequence)
			SELECT e.id, e.stream_sequence FROM events e JOIN p ON p.id = e.id
			WHERE e.stream_sequence <> p.sequence ON CONFLICT DO NOTHING)
		UPDATE events SET stream_sequence = p.sequence FROM p WHERE events.id = p.id`, ids, sequences)
	if err != nil {
		return fmt.Errorf("store stream sequences: %w", err)
	}
	var last int64
	err = tx.QueryRow(ctx, `UPDATE stream_position SET sequence = greatest(stream_position.sequence, $1)
		FROM (SELECT sequence FROM stream_position FOR UPDATE) AS before RETURNING before.sequence`, newest).Scan(&last)
	if err != nil {
		return fmt.Errorf("move the position in the stream on: %w", err)
	}
	if last == 0 {
		return nil
	}
	for sequence := max(last, newest-maxSkipped) + 1; sequence < newest; sequence++ {
		if known[sequence] {
			continue
		}
		if err := l.skipped(ctx, tx, sequence); err != nil {
			return err
		}
	}
	return nil
}

// skipped notes a message whose acknowledgment never arrived, because this
// process or its connection died in between.
func (l Places) skipped(ctx context.Context, tx pgx.Tx, sequence int64) error {
	stream, err := l.JetStream.Stream(ctx, l.Stream)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	message, err := stream.GetMsg(ctx, uint64(sequence)) //nolint:gosec // it is positive
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at message %d: %w", sequence, err)
	}
	id, err := uuid.Parse(message.Header.Get(jetstream.MsgIDHeader))
	if err != nil {
		return nil //nolint:nilerr // not an event of the log
	}
	_, err = tx.Exec(ctx, `INSERT INTO event_copies (event_id, stream_sequence) SELECT id, $2 FROM events
		WHERE id = $1 AND stream_sequence IS DISTINCT FROM $2 ON CONFLICT DO NOTHING`, id, sequence)
	if err != nil {
		return fmt.Errorf("store a skipped message: %w", err)
	}
	return nil
}
