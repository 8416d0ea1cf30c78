package deadletters_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/deadletters"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

func broker(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := identitytest.NATS(t).JetStream
	require.NoError(t, streams.Apply(t.Context(), js, 1))
	return js
}

// forgetQuickly makes a stream remember message IDs for as short as it can.
func forgetQuickly(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
}

// consume runs a consumer that counts what it applies; while broken it takes
// every message for poison.
func consume(t *testing.T, js jetstream.JetStream, durable string, broken *atomic.Bool) *atomic.Int64 {
	t.Helper()
	db := identitytest.Postgres(t, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	applied := &atomic.Int64{}
	consumer, err := mailbox.NewConsumer(js, db.Pool, mailbox.ConsumerConfig{
		Stream: streams.Orders, Durable: durable, Logger: slog.New(slog.DiscardHandler),
		Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
			if broken.Load() {
				return mailbox.Poison(errors.New("the column is missing"))
			}
			applied.Add(1)
			return nil
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return applied
}

func letters(t *testing.T, js jetstream.JetStream, n int) (list []deadletters.Letter) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		list, err = deadletters.List(t.Context(), js, 0, 100)
		require.NoError(t, err)
		return len(list) == n
	}, within, every)
	return list
}

func TestRedrive_IsTooEarlyWhileTheStreamRemembers(t *testing.T) {
	t.Parallel()
	js := broker(t)
	var broken atomic.Bool
	broken.Store(true)
	consume(t, js, "billing-orders", &broken)
	_, err := js.Publish(t.Context(), "orders.v1.order.canceled", []byte(`{"order_id":"o1"}`), jetstream.WithMsgID("m1"))
	require.NoError(t, err)
	dead := letters(t, js, 1)
	_, err = deadletters.Redrive(t.Context(), js, dead[0].Number, nil)
	require.ErrorIs(t, err, deadletters.ErrTooEarly, "the stream would drop it")
	require.Equal(t, dead, letters(t, js, 1), "and the letter stays")
}

func TestRedrive_ReachesWhoFailedAndNobodyTwice(t *testing.T) {
	t.Parallel()
	js := broker(t)
	// Before anything is published: the server forgets by a timer that a later
	// change does not shorten.
	forgetQuickly(t, js, streams.Orders)
	_, err := js.CreateOrUpdateConsumer(t.Context(), streams.Orders, jetstream.ConsumerConfig{
		Durable: "bystander", FilterSubject: "orders.v1.>", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
	})
	require.NoError(t, err)
	var broken, sound atomic.Bool
	broken.Store(true)
	failing := consume(t, js, "billing-orders", &broken)
	bystander := consume(t, js, "bystander", &sound)
	for _, id := range []string{"m1", ""} { // one that was published without an ID
		var options []jetstream.PublishOpt
		if id != "" {
			options = append(options, jetstream.WithMsgID(id))
		}
		_, err = js.Publish(t.Context(), "orders.v1.order.canceled", []byte(`{"order_id":"o1"}`), options...)
		require.NoError(t, err)
	}
	dead := letters(t, js, 2)
	require.Equal(t, "the column is missing", dead[0].Cause)
	require.False(t, dead[0].Deleted)
	require.Equal(t, streams.Orders, dead[0].Stream)
	require.Equal(t, "billing-orders", dead[0].Consumer)
	require.Equal(t, uint64(1), dead[0].Deliveries)
	require.WithinDuration(t, time.Now(), dead[0].At, time.Minute)
	message, err := dead[0].Message(t.Context(), js)
	require.NoError(t, err)
	require.Equal(t, "m1", message.ID)
	require.Equal(t, "orders.v1.order.canceled", message.Subject)
	require.JSONEq(t, `{"order_id":"o1"}`, string(message.Payload))

	redrive := func(number uint64) {
		require.Eventually(t, func() bool {
			_, err := deadletters.Redrive(t.Context(), js, number, nil)
			if err != nil {
				require.ErrorIs(t, err, deadletters.ErrTooEarly)
			}
			return err == nil
		}, within, every)
	}
	redrive(dead[0].Number)
	again := letters(t, js, 2)
	require.Greater(t, again[1].Number, dead[1].Number, "what fails again is a letter again")
	require.Greater(t, again[1].Sequence, dead[1].Sequence)

	broken.Store(false)
	redrive(again[0].Number)
	redrive(again[1].Number)
	require.Eventually(t, func() bool { return failing.Load() == 2 }, within, every)
	letters(t, js, 0)
	require.Eventually(t, func() bool {
		consumer, err := js.Consumer(t.Context(), streams.Orders, "bystander")
		require.NoError(t, err)
		info := consumer.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	}, within, every)
	require.Equal(t, int64(2), bystander.Load(), "who had applied them knows them by inbox")
	_, err = deadletters.Redrive(t.Context(), js, again[0].Number, nil)
	require.ErrorIs(t, err, deadletters.ErrNotFound)
}

func TestLetter_OfAMessageThatIsGone(t *testing.T) {
	t.Parallel()
	js := broker(t)
	var broken atomic.Bool
	broken.Store(true)
	consume(t, js, "billing-orders", &broken)
	ack, err := js.Publish(t.Context(), "orders.v1.order.canceled", []byte(`{}`))
	require.NoError(t, err)
	dead := letters(t, js, 1)
	stream, err := js.Stream(t.Context(), streams.Orders)
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), ack.Sequence))
	_, err = dead[0].Message(t.Context(), js)
	require.ErrorIs(t, err, deadletters.ErrGone)
	_, err = deadletters.Redrive(t.Context(), js, dead[0].Number, nil)
	require.ErrorIs(t, err, deadletters.ErrGone)
	letters(t, js, 1)
	require.NoError(t, js.DeleteStream(t.Context(), streams.Orders))
	_, err = dead[0].Message(t.Context(), js)
	require.ErrorIs(t, err, deadletters.ErrGone)
}

// An erasure deletes its user's messages, also those that a consumer has not
// acknowledged yet: nobody gave them up.
func TestList_TellsWhatWasDeletedApart(t *testing.T) {
	t.Parallel()
	js := broker(t)
	stream, err := js.Stream(t.Context(), streams.Identity)
	require.NoError(t, err)
	consumer, err := stream.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "slow", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	ack, err := js.Publish(t.Context(), "identity.v1.user.updated.00", []byte(`{}`))
	require.NoError(t, err)
	batch, err := consumer.Fetch(1)
	require.NoError(t, err)
	require.NotNil(t, <-batch.Messages())
	require.NoError(t, stream.SecureDeleteMsg(t.Context(), ack.Sequence))
	dead := letters(t, js, 1)
	require.True(t, dead[0].Deleted)
	require.Contains(t, dead[0].Cause, "its user was erased")
}

func TestList_OfMessagesThatRanOutOfDeliveries(t *testing.T) {
	t.Parallel()
	js := broker(t)
	consumer, err := js.CreateOrUpdateConsumer(t.Context(), streams.Orders, jetstream.ConsumerConfig{
		Durable: "impatient", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1,
	})
	require.NoError(t, err)
	for range 3 {
		_, err = js.Publish(t.Context(), "orders.v1.order.canceled", []byte(`{}`))
		require.NoError(t, err)
	}
	batch, err := consumer.Fetch(3)
	require.NoError(t, err)
	for m := range batch.Messages() {
		require.NoError(t, m.Nak())
	}
	require.Eventually(t, func() bool {
		// The server notices when somebody asks for more.
		more, err := consumer.FetchNoWait(1)
		require.NoError(t, err)
		for range more.Messages() {
			t.Error("delivered more often than allowed")
		}
		list, err := deadletters.List(t.Context(), js, 0, 100)
		require.NoError(t, err)
		return len(list) == 3
	}, within, every)
	dead := letters(t, js, 3)
	require.Contains(t, dead[0].Cause, "as often as its consumer allows")
	page, err := deadletters.List(t.Context(), js, dead[0].Number, 1)
	require.NoError(t, err)
	require.Equal(t, dead[1:2], page)
	_, err = deadletters.Get(t.Context(), js, 4711)
	require.ErrorIs(t, err, deadletters.ErrNotFound)
	raw, err := json.Marshal(dead[0])
	require.NoError(t, err)
	require.Contains(t, string(raw), `"stream":"ORDERS"`)
}
