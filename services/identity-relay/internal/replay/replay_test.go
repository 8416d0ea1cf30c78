package replay_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/replay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const within = 10 * time.Second

// The publisher takes a message out of the outbox and then writes its place to the
// event. A replay of that event meanwhile must not hold the event while it wants
// the message: it finds that the event is in the outbox, and waits for nobody.
func TestBatch_DoesNotWaitInACircleWithThePublisher(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	var told identity.Event
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) (err error) {
		told, err = eventlog.Append(t.Context(), tx, "test", identity.Event{Type: identity.TypeUserUpdated, UserID: "u1", Time: time.Now()})
		return err
	}))
	publishing, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer publishing.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	_, err = publishing.Exec(t.Context(), `DELETE FROM mailbox_outbox WHERE message_id = $1`, told.ID)
	require.NoError(t, err)

	type answer struct {
		replay.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		a.err = pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) (err error) {
			a.Result, err = replay.Batch(t.Context(), tx, replay.Range{Limit: 10})
			return err
		})
		done <- a
	}()
	waits := false
	require.Eventually(t, func() bool {
		err := db.Owner.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits)
		return err == nil && (waits || len(done) == 1)
	}, within, time.Millisecond)
	require.False(t, waits, "it waits for the publisher")
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, replay.Result{Replayed: 1, Last: 1}, got.Result)

	require.NoError(t, eventlog.Places{}.Published(t.Context(), publishing, []mailbox.Published{{MessageID: told.ID, Sequence: 7}}))
	require.NoError(t, publishing.Commit(t.Context()))
	var sequence, messages int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT stream_sequence, (SELECT count(*) FROM mailbox_outbox) FROM events`).Scan(&sequence, &messages))
	require.Equal(t, 7, sequence)
	require.Zero(t, messages, "it was just published")

	// From now on it is published again when it is asked for.
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		got, err := replay.Batch(t.Context(), tx, replay.Range{Limit: 10})
		require.Equal(t, 1, got.Replayed)
		return err
	}))
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM mailbox_outbox`).Scan(&messages))
	require.Equal(t, 1, messages)
}
