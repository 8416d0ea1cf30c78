package relay_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
)

// failures sends what is logged with a cause.
type failures struct {
	slog.Handler
	sent chan string
}

func (f failures) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		f.sent <- a.Value.String()
		return true
	})
	return nil
}

func (failures) Enabled(context.Context, slog.Level) bool { return true }

// Who erases the relay's rows of a user locks the user and then deletes the
// question about them. The answer must take both in the same order.
func TestRereader_DoesNotWaitInACircleWithAnErasure(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO rereads (user_id, due_at) VALUES ('u1', now())`)
	require.NoError(t, err)
	erasing, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer erasing.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	require.NoError(t, erasures.LockUser(t.Context(), erasing, "u1", true))
	answered := make(chan struct{}, 100)
	r.Wake = func() { answered <- struct{}{} }
	failed := failures{slog.DiscardHandler, make(chan string, 100)}
	rereader := relay.NewRereader(relay.Rereader{
		Pool: db.Pool, Recorder: r, Log: slog.New(failed),
		Lookup: func(context.Context, string) (relay.Standing, error) { return relay.Standing{Found: true}, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rereader.Run(ctx) }()
	require.Eventually(t, func() bool {
		var waiting int
		err := db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		return err == nil && waiting == 1
	}, 10*time.Second, 10*time.Millisecond)
	_, err = erasing.Exec(t.Context(), `DELETE FROM rereads WHERE user_id = 'u1'`)
	require.NoError(t, err)
	require.NoError(t, erasing.Commit(t.Context()))
	select {
	case <-answered:
	case cause := <-failed.sent:
		require.Fail(t, "the answer was not recorded", cause)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the answer was not recorded")
	}
	cancel()
	require.NoError(t, <-done)
}
