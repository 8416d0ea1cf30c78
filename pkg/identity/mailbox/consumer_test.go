package mailbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

var quick = []time.Duration{10 * time.Millisecond}

func (w *world) consumer(config mailbox.ConsumerConfig) *mailbox.Consumer {
	w.t.Helper()
	if config.Stream == "" {
		config.Stream = "T"
	}
	if config.Durable == "" {
		config.Durable = "d"
	}
	if config.Backoff == nil {
		config.Backoff = quick
	}
	c, err := mailbox.NewConsumer(w.broker.JetStream, w.db.Pool, config)
	require.NoError(w.t, err)
	return c
}

func (w *world) publish(id, payload string) {
	w.t.Helper()
	_, err := w.broker.JetStream.Publish(context.Background(), "t.x", []byte(payload), jetstream.WithMsgID(id))
	require.NoError(w.t, err)
}

// settled reports whether the durable is done with all that is in the stream.
func (w *world) settled() bool {
	ctx := context.Background()
	stream, err := w.stream.Info(ctx)
	if err != nil {
		return false
	}
	consumer, err := w.stream.Consumer(ctx, "d")
	if err != nil {
		return false
	}
	// The number of pending messages lags behind a publish, the floor cannot run ahead.
	return consumer.CachedInfo().AckFloor.Stream >= stream.State.LastSeq
}

func TestConsumer_NeedsNamesAndHandler(t *testing.T) {
	t.Parallel()
	_, err := mailbox.NewConsumer(nil, nil, mailbox.ConsumerConfig{})
	require.ErrorContains(t, err, "stream and durable")
	require.ErrorContains(t, err, "handler")
}

func TestConsumer_AppliesInOrderWithInboxRows(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	var seen journal
	var commits atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{
		OnCommit: func() { commits.Add(1) }, BatchSize: 1,
		Handler: func(_ context.Context, _ pgx.Tx, m mailbox.Message) error {
			seen.add(m.ID)
			return nil
		},
	}).Run)
	w.enqueue(0, 60)
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: every}).Run)
	require.Eventually(t, func() bool { return commits.Load() == 60 }, within, every)
	require.Equal(t, ids(60), seen.all())
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, 60, w.count("SELECT count(*) FROM mailbox_inbox WHERE consumer = 'd'"))
}

// The window of the stream has no part in this: the second copy is stored, and
// the inbox drops it.
func TestConsumer_AppliesADuplicateOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.broker.Stream(jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}, Duplicates: 100 * time.Millisecond})
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	var applied atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
		applied.Add(1)
		return nil
	}}).Run)
	require.Eventually(t, func() bool {
		w.publish("same", "x")
		return len(w.stored()) >= 3
	}, within, 50*time.Millisecond)
	w.publish("last", "x")
	require.Eventually(t, func() bool { return applied.Load() >= 2 && w.settled() }, within, every)
	require.EqualValues(t, 2, applied.Load())
}

// Killed between commit and ack: the message comes again and finds its row.
func TestConsumer_RedeliveryAfterACrashIsAppliedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", AckWait: 300 * time.Millisecond})
	w.publish("m", "x")
	_, err := w.db.Pool.Exec(context.Background(), "INSERT INTO mailbox_inbox (consumer, message_id) VALUES ('d', 'm')")
	require.NoError(t, err)
	// Another process took it and died.
	consumer, err := w.stream.Consumer(context.Background(), "d")
	require.NoError(t, err)
	taken, err := consumer.Next(jetstream.FetchMaxWait(within))
	require.NoError(t, err)
	require.Equal(t, []byte("x"), taken.Data())

	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
		t.Error("applied twice")
		return nil
	}}).Run)
	require.Eventually(t, w.settled, within, every)
}

func TestConsumer_RetriesWithDelayAndRollsBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", MaxDeliver: 10})
	var attempts atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, _ mailbox.Message) error {
		if err := mailbox.Enqueue(ctx, tx, mailbox.Message{Subject: "t.out"}); err != nil {
			return err
		}
		switch attempts.Add(1) {
		case 1:
			return errors.New("not now")
		case 2:
			panic("not now either")
		}
		return nil
	}}).Run)
	w.publish("m", "x")
	require.Eventually(t, func() bool { return attempts.Load() == 3 && w.settled() }, within, every)
	require.Equal(t, 1, w.outbox())
}

// advisories subscribes to what the dead-letter stream keeps.
func (w *world) advisories() <-chan map[string]any {
	w.t.Helper()
	found := make(chan map[string]any, 10)
	sub, err := w.broker.Conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", func(m *nats.Msg) {
		var advisory map[string]any
		if json.Unmarshal(m.Data, &advisory) == nil {
			found <- advisory
		}
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return found
}

func (w *world) terminated(found <-chan map[string]any) string {
	w.t.Helper()
	select {
	case advisory := <-found:
		text, _ := advisory["reason"].(string)
		return text
	case <-time.After(within):
		w.t.Fatal("no advisory")
		return ""
	}
}

func TestConsumer_TerminatesPoisonWithItsCause(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	found := w.advisories()
	cause := errors.New("no such version")
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
		return mailbox.Poison(cause)
	}}).Run)
	w.publish("m", "x")
	require.Equal(t, "no such version", w.terminated(found))
	require.Zero(t, w.count("SELECT count(*) FROM mailbox_inbox"), "a redrive must still apply it")
	require.NoError(t, mailbox.Poison(nil))
	require.ErrorIs(t, mailbox.Poison(cause), cause)
	require.ErrorIs(t, mailbox.Poison(cause), mailbox.ErrPoison)
}

func TestConsumer_GivesUpWithTheCauseAndWithoutTheValue(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", MaxDeliver: 20})
	found := w.advisories()
	run(t, w.consumer(mailbox.ConsumerConfig{MaxDeliver: 3, Handler: func(ctx context.Context, tx pgx.Tx, _ mailbox.Message) error {
		_, err := tx.Exec(ctx, "SELECT 'auth0|alice'::uuid")
		return err
	}}).Run)
	w.publish("m", "x")
	require.Equal(t, "gave up after 3 attempts: postgres: SQLSTATE 22P02", w.terminated(found))
}

func TestConsumer_HandlerEndsBeforeAckWait(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", AckWait: time.Second})
	var attempts atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, _ mailbox.Message) error {
		if attempts.Add(1) > 1 {
			return nil
		}
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.Less(t, time.Until(deadline), time.Second)
		_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	}}).Run)
	w.publish("m", "x")
	require.Eventually(t, func() bool { return attempts.Load() == 2 && w.settled() }, within, every)
}

func TestConsumer_StopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	started, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	consumer := w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, _ pgx.Tx, _ mailbox.Message) error {
		close(started)
		<-release
		return ctx.Err()
	}})
	go func() { done <- consumer.Run(ctx) }()
	w.publish("first", "x")
	<-started
	cancel()
	close(release)
	require.NoError(t, <-done)
	require.True(t, w.settled())
	require.Equal(t, 1, w.count("SELECT count(*) FROM mailbox_inbox"))
}

func TestConsumer_WaitsForTheDurableToBeDeclared(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.publish("m", "x")
	var applied atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
		applied.Add(1)
		return nil
	}}).Run)
	_, err := w.stream.Consumer(context.Background(), "d")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound, "the consumer never creates it")
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	require.Eventually(t, func() bool { return applied.Load() == 1 }, within, every)
}

func TestConsumer_AppliesAllOnceWhileNATSRestarts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", AckWait: 2 * time.Second})
	_, err := w.db.Owner.Exec(context.Background(), "CREATE TABLE applied (id text); GRANT INSERT, SELECT ON applied TO PUBLIC")
	require.NoError(t, err)
	run(t, w.consumer(mailbox.ConsumerConfig{Workers: 4, Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		_, err := tx.Exec(ctx, "INSERT INTO applied VALUES ($1)", m.ID)
		return err
	}}).Run)
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: every, AckTimeout: time.Second}).Run)
	w.enqueue(0, 200)
	w.broker.Restart()
	w.enqueue(200, 200)
	w.broker.Restart()
	w.enqueue(400, 100)
	require.Eventually(t, func() bool { return w.count("SELECT count(DISTINCT id) FROM applied") == 500 }, 2*within, every)
	require.Equal(t, 500, w.count("SELECT count(*) FROM applied"))
}

func TestConsumer_HoldsTheMessageWhilePostgresIsDown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d", MaxDeliver: 2})
	name := w.db.Pool.Config().ConnConfig.Database
	closed := func(open bool) {
		admin, err := pgx.Connect(context.Background(), w.db.AdminURL)
		require.NoError(t, err)
		defer func() { require.NoError(t, admin.Close(context.Background())) }()
		limit := "0"
		if open {
			limit = "-1"
		}
		_, err = admin.Exec(context.Background(), "ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" CONNECTION LIMIT "+limit)
		require.NoError(t, err)
		if !open {
			_, err = admin.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = $1 AND usename = $2`, name, w.db.Pool.Config().ConnConfig.User)
			require.NoError(t, err)
		}
	}
	var attempts atomic.Int64
	closed(false)
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
		attempts.Add(1)
		return nil
	}}).Run)
	w.publish("m", "x")
	require.Eventually(t, func() bool {
		consumer, err := w.stream.Consumer(context.Background(), "d")
		return err == nil && consumer.CachedInfo().NumAckPending == 1
	}, within, every)
	closed(true)
	require.Eventually(t, func() bool { return attempts.Load() == 1 && w.settled() }, within, every)
	consumer, err := w.stream.Consumer(context.Background(), "d")
	require.NoError(t, err)
	require.Zero(t, consumer.CachedInfo().NumRedelivered)
}

func TestTraceContext_TravelsFromEnqueueToHandler(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(context.Background(), parent)
	require.NoError(t, pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
		return mailbox.Enqueue(ctx, tx, mailbox.Message{Subject: "t.x", Header: map[string]string{"Own": "kept"}})
	}))
	traces := make(chan trace.TraceID, 1)
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, _ pgx.Tx, m mailbox.Message) error {
		require.Equal(t, "kept", m.Header["Own"])
		traces <- trace.SpanContextFromContext(ctx).TraceID()
		return nil
	}}).Run)
	run(t, mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: every}).Run)
	select {
	case got := <-traces:
		require.Equal(t, parent.TraceID(), got)
	case <-time.After(within):
		t.Fatal("nothing arrived")
	}
}
