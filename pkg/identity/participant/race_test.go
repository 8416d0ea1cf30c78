package participant_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// The race of a request with an erasure, each of its two orders and what it
// would be without the lock, one step after the other on two connections.

const keep = "INSERT INTO idempotency_keys VALUES ('racing', $1)"

// waiting waits until a transaction stands before an advisory lock.
func (w *world) waiting() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		return w.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 1
	}, within, every)
}

func (w *world) kept() int {
	return w.count("SELECT count(*) FROM idempotency_keys WHERE key = 'racing'")
}

func TestRace_TheErasureWaitsForAWriterInFlightAndSeesItsRow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.participant()
	run(t, p.Run)
	ctx := context.Background()
	writer, err := w.db.Pool.Begin(ctx)
	require.NoError(t, err)
	defer writer.Rollback(ctx) //nolint:errcheck // after the commit it does nothing
	require.NoError(t, p.Tombstones().Refuse(ctx, writer, alice), "there is no tombstone yet")

	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.waiting()
	_, err = writer.Exec(ctx, keep, alice)
	require.NoError(t, err)
	require.NoError(t, writer.Commit(ctx))

	w.receipts(1)
	require.Zero(t, w.kept(), "the erasure began before the row was committed and took it along")
	require.ErrorIs(t, w.refuse(p.Tombstones(), alice), participant.ErrErased)
}

func TestRace_AWriterWaitsForTheErasureInFlightAndIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	entered, commit := make(chan struct{}), make(chan struct{})
	p := w.participant(func(c *participant.Config) {
		c.OnErase = func(context.Context, pgx.Tx, string) error {
			close(entered)
			<-commit
			return nil
		}
	})
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	<-entered // tombstone and data are done and not committed

	ctx := context.Background()
	refused := make(chan error, 1)
	go func() {
		refused <- pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
			if err := p.Tombstones().Refuse(ctx, tx, alice); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, keep, alice)
			return err
		})
	}()
	w.waiting()
	close(commit)
	require.ErrorIs(t, <-refused, participant.ErrErased)
	require.Zero(t, w.kept())
}

// A writer that looks for a tombstone and takes no lock leaves a row behind: so
// the two tests above would notice if Refuse stopped locking.
func TestRace_WithoutTheLockTheRowWouldStay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.participant()
	run(t, p.Run)
	ctx := context.Background()
	writer, err := w.db.Pool.Begin(ctx)
	require.NoError(t, err)
	defer writer.Rollback(ctx) //nolint:errcheck // after the commit it does nothing
	var erased bool
	require.NoError(t, writer.QueryRow(ctx, "SELECT EXISTS (SELECT FROM participant_tombstones WHERE hash = $1)",
		p.Tombstones().Hash(alice)).Scan(&erased))
	require.False(t, erased)

	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	_, err = writer.Exec(ctx, keep, alice)
	require.NoError(t, err)
	require.NoError(t, writer.Commit(ctx))
	require.Equal(t, 1, w.kept())
}
