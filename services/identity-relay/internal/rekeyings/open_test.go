package rekeyings_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/rekeyings"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

// A participant that was registered by the database's clock must answer although
// the process's is behind, and the relay must whatever the clocks say.
func TestBegin_AsksWhoIsRegisteredWhateverTheProcessTakesForNow(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	require.NoError(t, erasures.Register(t.Context(), db.Pool, []erasures.Participant{
		{Name: "orders"}, {Name: "billing", Since: time.Now().Add(time.Hour)},
	}))
	_, err := db.Pool.Exec(t.Context(), `UPDATE participants SET since = now() + interval '1 hour' WHERE name = 'identity-relay'`)
	require.NoError(t, err)
	s := rekeyings.New(rekeyings.Service{
		Pool: db.Pool, Tombstones: newTombstones(t), Deadline: time.Hour, Log: slog.New(slog.DiscardHandler),
		Now:      func() time.Time { return time.Now().Add(-time.Minute) },
		Transact: func(ctx context.Context, fn func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, db.Pool, fn) },
	})
	id, err := s.Begin(t.Context(), rekeyings.Change{OldID: "old", NewID: "new", RequestedBy: "operator"})
	require.NoError(t, err)
	open, err := rekeyings.List(t.Context(), db.Pool, true, 1)
	require.NoError(t, err)
	require.Equal(t, id, open[0].ID)
	require.Equal(t, []string{"identity-relay", "orders"}, open[0].WaitingFor)
}
