package mailbox_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// However many rows are old, no statement has to remove them all: here the
// database refuses to delete many at once, as it refuses what takes too long.
func TestConsumer_RemovesOldRowsInChunks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, statement := range []string{
		`INSERT INTO mailbox_inbox (consumer, message_id, received_at)
			SELECT 'd', n::text, now() - CASE WHEN n > 0 THEN interval '31 days' ELSE '0' END FROM generate_series(0, 20001) n`,
		`INSERT INTO mailbox_inbox (consumer, message_id, received_at) VALUES ('another', '1', now() - interval '31 days')`,
		`INSERT INTO mailbox_versions (consumer, scope, key_hash, version, changed_at)
			SELECT 'd', 's', sha256(n::text::bytea), 1, now() - CASE WHEN n > 0 THEN interval '31 days' ELSE '0' END FROM generate_series(0, 20001) n`,
		`CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				IF (SELECT count(*) FROM gone) > 10000 THEN RAISE EXCEPTION 'too many rows at once'; END IF;
				RETURN NULL;
			END $$`,
		`CREATE TRIGGER refuse_many AFTER DELETE ON mailbox_inbox REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`,
		`CREATE TRIGGER refuse_many AFTER DELETE ON mailbox_versions REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`,
	} {
		_, err := w.db.Owner.Exec(context.Background(), statement)
		require.NoError(t, err)
	}
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	c, err := mailbox.NewConsumer(w.broker.JetStream, w.db.Pool, mailbox.ConsumerConfig{
		Stream: "T", Durable: "d", Handler: func(context.Context, pgx.Tx, mailbox.Message) error { return nil },
	})
	require.NoError(t, err)
	run(t, c.Run)
	require.Eventually(t, func() bool {
		return w.count(`SELECT count(*) FROM mailbox_inbox`) == 2 && w.count(`SELECT count(*) FROM mailbox_versions`) == 1
	}, within, every, "one of now, and another consumer's")
}
