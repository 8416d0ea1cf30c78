package identityrelay_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/deadletters"
	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// An identity event that died is published again by the relay, which therefore
// still finds every message of the user when they are erased.
func TestDeadLetters_OfIdentityEvents(t *testing.T) {
	t.Parallel()
	const user = "auth0|user one"
	r, orders, billing := newRoomWith(t, nil)
	var broken atomic.Bool
	var applied atomic.Int64
	broken.Store(true)
	db := identitytest.Postgres(t, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	consumer, err := mailbox.NewConsumer(r.mesh.Broker.JetStream, db.Pool, mailbox.ConsumerConfig{
		Stream: streams.Identity, Durable: streams.Durable("token-exchange", "identity"), Logger: slog.New(slog.DiscardHandler),
		Handler: func(context.Context, pgx.Tx, mailbox.Message) error {
			if broken.Load() {
				return mailbox.Poison(errors.New("the table is missing"))
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

	r.deliver("user.created", map[string]any{"id": user})
	r.published(1)
	js := r.mesh.Broker.JetStream
	var dead []deadletters.Letter
	r.eventually("it is a dead letter", func() bool {
		dead, err = deadletters.List(t.Context(), js, 0, 10)
		require.NoError(t, err)
		return len(dead) == 1
	})
	require.Equal(t, "the table is missing", dead[0].Cause)
	republish := func(ctx context.Context, eventID string) error {
		batch, err := r.operator.Replay(ctx, api.ReplayRequest{ID: eventID})
		require.NoError(t, err)
		require.Equal(t, 1, batch.Replayed)
		return nil
	}
	_, err = deadletters.Redrive(t.Context(), js, dead[0].Number, republish)
	require.ErrorIs(t, err, deadletters.ErrTooEarly)
	broken.Store(false)
	r.forgetQuickly()
	r.eventually("it is redriven", func() bool {
		_, err := deadletters.Redrive(t.Context(), js, dead[0].Number, republish)
		return err == nil
	})
	r.eventually("and applied", func() bool { return applied.Load() == 1 })
	dead, err = deadletters.List(t.Context(), js, 0, 10)
	require.NoError(t, err)
	require.Empty(t, dead)

	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": user})
	r.erasureReaches("complete")
	found, err := footprint.InStreams(t.Context(), js, user)
	require.NoError(t, err)
	require.Empty(t, found)
}
