package mailbox_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

func (w *world) empty() bool { return w.outbox() == 0 }

func TestPublisher_PublishesInOrderAndTellsWhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var mu sync.Mutex
	where := map[string]uint64{}
	p := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{
		OnPublished: func(_ context.Context, _ pgx.Tx, published []mailbox.Published) error {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range published {
				require.Equal(t, "T", p.Stream)
				where[p.MessageID] = p.Sequence
			}
			return nil
		},
	})
	w.enqueue(0, 250) // more than two batches
	run(t, p.Run)
	require.Eventually(t, w.empty, within, every)
	require.Equal(t, ids(250), w.stored())
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, where, 250)
	require.Equal(t, uint64(1), where["m-00000"])
	require.Equal(t, uint64(250), where["m-00249"])
}

func TestPublisher_WakesAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: time.Hour})
	run(t, p.Run)
	for i := range 3 {
		w.enqueue(i, 1)
		p.Wake()
		require.Eventually(t, w.empty, within, every)
	}
	require.Equal(t, ids(3), w.stored())
}

func TestPublisher_FallsBackToPolling(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: 50 * time.Millisecond}).Run)
	w.enqueue(0, 1)
	require.Eventually(t, w.empty, within, every)
}

func TestPublisher_OneAtATimeAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var by [2]atomic.Int64
	publisher := func(i int) func(context.Context) error {
		return mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{
			PollInterval: 20 * time.Millisecond,
			OnPublished: func(_ context.Context, _ pgx.Tx, published []mailbox.Published) error {
				by[i].Add(int64(len(published)))
				return nil
			},
		}).Run
	}
	w.enqueue(0, 1)
	stop := run(t, publisher(0))
	require.Eventually(t, w.empty, within, every)
	run(t, publisher(1))
	w.enqueue(1, 50)
	require.Eventually(t, w.empty, within, every)
	require.EqualValues(t, 51, by[0].Load())
	require.Zero(t, by[1].Load())
	stop()
	w.enqueue(51, 10)
	require.Eventually(t, w.empty, within, every)
	require.EqualValues(t, 10, by[1].Load())
	require.Equal(t, ids(61), w.stored())
}

func TestPublisher_SurvivesItsSessionBeingKilled(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: 20 * time.Millisecond}).Run)
	w.enqueue(0, 1)
	require.Eventually(t, w.empty, within, every)
	_, err := w.db.Pool.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
	w.enqueue(1, 1)
	require.Eventually(t, w.empty, within, every)
	require.Equal(t, ids(2), w.stored())
}

// Killed between publish and delete: the rows are published again, and the
// stream's window drops them while it lasts.
func TestPublisher_PublishesAgainAfterACrashBeforeDelete(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var crashes atomic.Int64
	p := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{
		PollInterval: 20 * time.Millisecond,
		OnPublished: func(context.Context, pgx.Tx, []mailbox.Published) error {
			if crashes.Add(1) <= 2 {
				return errors.New("killed here")
			}
			return nil
		},
	})
	w.enqueue(0, 120)
	run(t, p.Run)
	require.Eventually(t, w.empty, within, every)
	require.Equal(t, ids(120), w.stored())
}

func TestPublisher_LosesNothingWhileNATSRestarts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: 20 * time.Millisecond, AckTimeout: time.Second})
	run(t, p.Run)
	const n = 1500
	var restarts sync.WaitGroup
	defer restarts.Wait()
	restarts.Go(func() {
		for range 2 {
			w.broker.Restart()
		}
	})
	w.enqueue(0, n)
	require.Eventually(t, w.empty, within, every)
	require.Equal(t, ids(n), w.stored())
}

func TestPublisher_WaitsForAStreamThatIsNotDeclaredYet(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.commit(mailbox.Message{ID: "early", Subject: "later.x"}, mailbox.Message{ID: "behind", Subject: "t.x"})
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: 20 * time.Millisecond}).Run)
	require.Eventually(t, func() bool { return w.outbox() == 1 }, within, every, "other streams go on")
	w.broker.Stream(jetstream.StreamConfig{Name: "LATER", Subjects: []string{"later.>"}})
	require.Eventually(t, w.empty, within, every)
}
