package compare_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// A first request and a deletion, in either order, each in a transaction that is
// still open when the other begins.
func TestDeletion_AndAFirstRequestWaitForEachOther(t *testing.T) {
	t.Parallel()
	tombstones, err := participant.LoadTombstones((&system{t: t}).file(participant.NewTombstoneKey("k1")))
	require.NoError(t, err)
	type step func(ctx context.Context, table *users.Table, tx pgx.Tx) error
	request := func(ctx context.Context, table *users.Table, tx pgx.Tx) error { return table.Ensure(ctx, tx, "ann") }
	deletion := func(ctx context.Context, table *users.Table, tx pgx.Tx) error {
		_, err := table.Delete(ctx, tx, "ann")
		return err
	}
	for name, c := range map[string]struct {
		first, second step
		err           error // of the second
	}{
		"the request first":  {request, deletion, nil},
		"the deletion first": {deletion, request, users.ErrDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			db := identitytest.Postgres(t, store.Migrations()...)
			table := users.NewTable(db.Pool, users.Options{Tombstones: tombstones})
			tx, err := db.Pool.Begin(ctx)
			require.NoError(t, err)
			require.NoError(t, c.first(ctx, table, tx))
			done := make(chan error, 1)
			go func() {
				done <- pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error { return c.second(ctx, table, tx) })
			}()
			require.Eventually(t, func() bool {
				return len(done) == 1 || count(t, db, `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
					WHERE d.datname = current_database() AND NOT l.granted`) == 1
			}, within, every)
			require.NoError(t, tx.Commit(ctx))
			require.ErrorIs(t, <-done, c.err)
			require.Zero(t, count(t, db, `SELECT count(*) FROM users`))
			require.Equal(t, 1, count(t, db, `SELECT count(*) FROM user_tombstones`))
		})
	}
}
