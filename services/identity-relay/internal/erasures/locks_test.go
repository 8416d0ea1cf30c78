package erasures_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

var by = erasures.Decider{By: "operator", Reason: "file 7"}

// insert puts an erasure of the user into the database.
func insert(t *testing.T, db *identitytest.Database, s erasures.Settings, userID, state string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, completed_at)
		VALUES ($1, CASE $4::text WHEN 'complete' THEN 'erased:' || $1::uuid ELSE $2 END, $3, 'k1', 'auther', $4, now(), now(),
			CASE $4 WHEN 'complete' THEN now() END)`, id, userID, s.Tombstones.Hash(userID), state)
	require.NoError(t, err)
	return id
}

// begin opens a transaction that ends with the test.
func begin(t *testing.T, db *identitytest.Database) pgx.Tx {
	t.Helper()
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // after the commit it does nothing
	return tx
}

// meanwhile runs fn in a transaction of its own; await returns its error.
func meanwhile(t *testing.T, db *identitytest.Database, fn func(tx pgx.Tx) error) (await func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- pgx.BeginFunc(t.Context(), db.Pool, fn) }()
	return func() error { return <-done }
}

// waitsFor returns when somebody waits for what tx has locked: a row, or a lock
// of the type "advisory".
func waitsFor(t *testing.T, db *identitytest.Database, tx pgx.Tx, lock string) {
	t.Helper()
	if lock == "row" {
		lock = "transactionid" // for the end of who has changed it
	}
	require.Eventually(t, func() bool {
		var n int
		err := db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks
			WHERE NOT granted AND locktype = $2 AND $1 = ANY(pg_blocking_pids(pid))`, int32(tx.Conn().PgConn().PID()), lock).Scan(&n) //nolint:gosec // a process ID
		return err == nil && n > 0
	}, 10*time.Second, 2*time.Millisecond, "nobody waits")
}

// Whoever holds, readmits or asks again locks the user and then the erasure's
// row: in another order two of them would wait for each other.
func TestHoldUser_DoesNotWaitInACircleWithWhoReadmitsOrAsksAgain(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(context.Context, pgx.Tx, erasures.Settings, uuid.UUID) error{
		"readmit": func(ctx context.Context, tx pgx.Tx, s erasures.Settings, id uuid.UUID) error {
			return erasures.Readmit(ctx, tx, s, id, "u1", by)
		},
		"ask again": func(ctx context.Context, tx pgx.Tx, s erasures.Settings, id uuid.UUID) error {
			_, err := erasures.Reopen(ctx, tx, s, erasures.Found{ID: id, UserID: "u1"}, []string{"orders"}, time.Now())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := identitytest.Postgres(t, schema.Sets()...)
			s := settings(t)
			id := insert(t, db, s, "u1", "complete")
			holding := begin(t, db)
			require.NoError(t, erasures.LockUser(t.Context(), holding, "u1", true)) // as HoldUser begins
			await := meanwhile(t, db, func(tx pgx.Tx) error { return other(t.Context(), tx, s, id) })
			waitsFor(t, db, holding, "advisory")
			_, err := holding.Exec(t.Context(), `SELECT FROM erasures WHERE id = $1 FOR UPDATE NOWAIT`, id)
			require.NoError(t, err, "who waits for the user has no row")
			_, err = erasures.HoldUser(t.Context(), holding, s, "u1", by)
			require.NoError(t, err)
			require.NoError(t, holding.Commit(t.Context()))
			require.NoError(t, await())
			e, err := erasures.Get(t.Context(), db.Pool, id)
			require.NoError(t, err)
			require.Equal(t, erasures.Complete, e.State, "a hold keeps it from being asked for again")
			require.Equal(t, name == "readmit", e.ReadmittedAt != nil)
		})
	}
}

// Who records what a look-up found takes the next version, and then the row of
// the erasure that it withdraws.
func TestRescue_DoesNotWaitInACircleWithWhoRecordsALookUp(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	id := insert(t, db, s, "u1", "grace")
	recording := begin(t, db)
	require.NoError(t, erasures.LockUser(t.Context(), recording, "u1", false))
	_, err := recording.Exec(t.Context(), `UPDATE version_counter SET value = value + 1`)
	require.NoError(t, err)
	var rescued bool
	await := meanwhile(t, db, func(tx pgx.Tx) (err error) {
		rescued, err = erasures.Rescue(t.Context(), tx, s, "u1", time.Now().Add(time.Minute))
		return err
	})
	waitsFor(t, db, recording, "advisory")
	withdrawn, err := erasures.Withdraw(t.Context(), recording, s, "u1", time.Now().Add(time.Minute), erasures.Reappeared)
	require.NoError(t, err)
	require.True(t, withdrawn)
	require.NoError(t, recording.Commit(t.Context()))
	require.NoError(t, await())
	require.False(t, rescued, "it was withdrawn already")
	e, err := erasures.Get(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, erasures.Withdrawn, e.State)
}
