package mailbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// The publisher dies between publish and delete and stays away for longer than
// the stream remembers IDs: every message is stored twice, and the inbox makes
// once of it.
func TestCrash_PublishedTwiceIsAppliedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.broker.Stream(jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}, Duplicates: 100 * time.Millisecond})
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	_, err := w.db.Owner.Exec(context.Background(), "CREATE TABLE applied (id text); GRANT INSERT, SELECT ON applied TO PUBLIC")
	require.NoError(t, err)
	const n = 40
	var alive atomic.Bool
	p := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{
		PollInterval: every,
		OnPublished: func(context.Context, pgx.Tx, []mailbox.Published) error {
			if alive.Load() {
				return nil
			}
			return errors.New("killed here")
		},
	})
	w.enqueue(0, n)
	run(t, p.Run)
	require.Eventually(t, func() bool {
		info, err := w.stream.Info(context.Background())
		return err == nil && info.State.Msgs >= 2*n
	}, within, every)
	alive.Store(true)
	require.Eventually(t, w.empty, within, every)
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		_, err := tx.Exec(ctx, "INSERT INTO applied VALUES ($1)", m.ID)
		return err
	}}).Run)
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, n, w.count("SELECT count(*) FROM applied"))
	require.Equal(t, n, w.count("SELECT count(DISTINCT id) FROM applied"))
}

// Two replicas serve one durable, and every message is delivered to both: the
// one that comes second waits for the first one's transaction.
func TestCrash_TwoReplicasWithOneMessageApplyItOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", AckWait: 500 * time.Millisecond})
	started, release := make(chan struct{}, 10), make(chan struct{})
	var applied atomic.Int64
	handler := func(context.Context, pgx.Tx, mailbox.Message) error {
		started <- struct{}{}
		<-release // a handler that ignores its deadline, so that the server redelivers
		applied.Add(1)
		return nil
	}
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: handler}).Run)
	w.publish("m", "x")
	<-started
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: handler}).Run)
	require.Eventually(t, func() bool {
		consumer, err := w.stream.Consumer(context.Background(), "d")
		return err == nil && consumer.CachedInfo().NumRedelivered > 0
	}, within, every)
	close(release)
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, 1, w.count("SELECT count(*) FROM mailbox_inbox"))
	// Handlers may have run again; one committed.
	require.GreaterOrEqual(t, applied.Load(), int64(1))
}
