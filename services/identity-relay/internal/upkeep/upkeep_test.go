package upkeep_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
	"github.com/shadowless/shadowless/services/identity-relay/internal/upkeep"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const day = 24 * time.Hour

func newUpkeep(t *testing.T) (upkeep.Upkeep, *identitytest.Database) {
	t.Helper()
	db := identitytest.Postgres(t, schema.Sets()...)
	return upkeep.Upkeep{Pool: db.Pool, Deliveries: day, Events: day, Reconciliations: day, Log: slog.New(slog.DiscardHandler)}, db
}

// refuseMany makes the database refuse to delete more than so many rows in one
// statement, as it refuses one that takes too long.
func refuseMany(t *testing.T, db *identitytest.Database, table string, most int) {
	t.Helper()
	for _, statement := range []string{
		fmt.Sprintf(`CREATE FUNCTION refuse_many_%s() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				IF (SELECT count(*) FROM gone) > %d THEN RAISE EXCEPTION 'too many rows at once'; END IF;
				RETURN NULL;
			END $$`, table, most),
		fmt.Sprintf(`CREATE TRIGGER refuse_many AFTER DELETE ON %[1]s REFERENCING OLD TABLE AS gone
			FOR EACH STATEMENT EXECUTE FUNCTION refuse_many_%[1]s()`, table),
	} {
		_, err := db.Owner.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
}

// fill writes rows of two days ago, and one of now, into each table.
func fill(t *testing.T, db *identitytest.Database, rows int) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO deliveries (source, delivery_id, type, outcome, received_at)
			SELECT 'test', n::text, 'test', 'recorded', now() - CASE WHEN n > 0 THEN interval '2 days' ELSE '0' END FROM generate_series(0, $1::int) n`,
		`INSERT INTO events (version, id, source, type, occurred_at, recorded_at, stream_sequence)
			SELECT n + 1, gen_random_uuid(), 'test', 'test', now(), now() - CASE WHEN n > 0 THEN interval '2 days' ELSE '0' END, n + 1 FROM generate_series(0, $1::int) n`,
		`INSERT INTO revocations (kind, key, revoked_at, causes, expires_at, pending, projected_at)
			SELECT 'jti', decode(md5(n::text), 'hex'), now(), ARRAY['ended'], now() + CASE WHEN n > 0 THEN interval '-1 day' ELSE '1 day' END, false, now()
			FROM generate_series(0, $1::int) n`,
	} {
		_, err := db.Owner.Exec(t.Context(), statement, rows)
		require.NoError(t, err)
	}
}

var tables = []string{"deliveries", "events", "revocations"}

func left(t *testing.T, db *identitytest.Database, table string) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// However many rows are old, no statement has to remove them all.
func TestPrune_RemovesManyRowsInChunks(t *testing.T) {
	t.Parallel()
	u, db := newUpkeep(t)
	fill(t, db, 2*postgres.Chunk+1)
	for _, table := range tables {
		refuseMany(t, db, table, postgres.Chunk)
	}
	require.NoError(t, u.Prune(t.Context()))
	for _, table := range tables {
		require.Equal(t, 1, left(t, db, table), table)
	}
}

func TestPrune_OneThatFailsKeepsNothingElse(t *testing.T) {
	t.Parallel()
	u, db := newUpkeep(t)
	fill(t, db, 3)
	refuseMany(t, db, "revocations", 0)
	refuseMany(t, db, "deliveries", 0)
	err := u.Prune(t.Context())
	require.ErrorContains(t, err, "prune revocations")
	require.ErrorContains(t, err, "prune deliveries")
	require.Equal(t, 4, left(t, db, "revocations"))
	require.Equal(t, 4, left(t, db, "deliveries"))
	require.Equal(t, 1, left(t, db, "events"))
}

// What must still be published, or found by an erasure, stays.
func TestPrune_KeepsEventsThatAreStillNeeded(t *testing.T) {
	t.Parallel()
	u, db := newUpkeep(t)
	for i, change := range []string{
		`stream_sequence = NULL`, // not published yet
		`replayed_at = now()`,    // in the stream for as long as a new one
		`user_id = 'u1'`,         // of an erasure under way
		`user_id = 'u2'`,
	} {
		_, err := db.Owner.Exec(t.Context(), `INSERT INTO events (version, id, source, type, occurred_at, recorded_at, stream_sequence)
			VALUES ($1, gen_random_uuid(), 'test', 'test', now(), now() - interval '2 days', 7)`, i+1)
		require.NoError(t, err)
		_, err = db.Owner.Exec(t.Context(), `UPDATE events SET `+change+` WHERE version = $1`, i+1)
		require.NoError(t, err)
	}
	_, err := db.Owner.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until)
		VALUES (gen_random_uuid(), 'u1', decode(repeat('00', 32), 'hex'), 'k1', 'test', 'grace', now(), now())`)
	require.NoError(t, err)
	require.NoError(t, u.Prune(t.Context()))
	var versions []int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT array_agg(version ORDER BY version) FROM events`).Scan(&versions))
	require.Equal(t, []int{1, 2, 3}, versions)
}
