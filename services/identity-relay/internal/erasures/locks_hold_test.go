package erasures_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func holdUser(t *testing.T, db *identitytest.Database, s erasures.Settings, userID string) uuid.UUID {
	t.Helper()
	var placed erasures.LegalHold
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) (err error) {
		placed, err = erasures.HoldUser(t.Context(), tx, s, userID, by)
		return err
	}))
	return placed.ID
}

// An erasure that was opened while its user's hold was lifted would be held by
// nothing that anybody could lift again.
func TestOpen_WaitsForWhoLiftsTheHold(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	hold := holdUser(t, db, s, "u1")
	lifting := begin(t, db)
	require.NoError(t, erasures.Lift(t.Context(), lifting, s, hold, by))
	var id uuid.UUID
	await := meanwhile(t, db, func(tx pgx.Tx) (err error) {
		id, _, err = erasures.Open(t.Context(), tx, s, "u1", "auther")
		return err
	})
	waitsFor(t, db, lifting, "row")
	require.NoError(t, lifting.Commit(t.Context()))
	require.NoError(t, await())
	e, err := erasures.Get(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, erasures.Grace, e.State)
	require.Nil(t, e.HoldReason)
}

func TestLift_SeesTheErasureThatIsBeingOpened(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	hold := holdUser(t, db, s, "u1")
	opening := begin(t, db)
	id, _, err := erasures.Open(t.Context(), opening, s, "u1", "auther")
	require.NoError(t, err)
	await := meanwhile(t, db, func(tx pgx.Tx) error { return erasures.Lift(t.Context(), tx, s, hold, by) })
	waitsFor(t, db, opening, "row")
	require.NoError(t, opening.Commit(t.Context()))
	require.NoError(t, await())
	d, err := erasures.GetDetail(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, erasures.Grace, d.State)
	require.Len(t, d.Decisions, 1)
	require.Equal(t, "released", d.Decisions[0].Decision)
}

// Both lock the hold and then what it holds: in another order they would wait
// for each other.
func TestRelease_DoesNotWaitInACircleWithWhoLiftsTheHold(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	id := insert(t, db, s, "u1", "grace")
	hold := holdUser(t, db, s, "u1")
	lifting := begin(t, db)
	_, err := lifting.Exec(t.Context(), `SELECT FROM legal_holds WHERE id = $1 FOR NO KEY UPDATE`, hold) // as Lift begins
	require.NoError(t, err)
	await := meanwhile(t, db, func(tx pgx.Tx) error { return erasures.Release(t.Context(), tx, s, id, by) })
	waitsFor(t, db, lifting, "row")
	_, err = lifting.Exec(t.Context(), `SELECT FROM erasures WHERE id = $1 FOR UPDATE NOWAIT`, id)
	require.NoError(t, err, "who waits for the hold has no row")
	require.NoError(t, erasures.Lift(t.Context(), lifting, s, hold, by))
	require.NoError(t, lifting.Commit(t.Context()))
	require.ErrorIs(t, await(), erasures.ErrNotHeld, "it was let go just before")
	d, err := erasures.GetDetail(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, erasures.Grace, d.State)
	require.Len(t, d.Decisions, 2)
}
