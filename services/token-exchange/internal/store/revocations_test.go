package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// More rows than one statement may change are forgotten and pruned to the last.
func TestRevocations_ForgetsAndPrunesInChunks(t *testing.T) {
	t.Parallel()
	const rows = 24_000
	db := database(t)
	s := store.NewRevocations(db.Pool)
	lost, made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO revocations (kind, key, revoked_at, expires_at, bucket)
		SELECT 'jti', decode(lpad(to_hex(n), 32, '0'), 'hex'), now(), now() + interval '1 hour', CASE WHEN n % 12 = 0 THEN $2::timestamptz ELSE $1 END
		FROM generate_series(1, $3::int) n`, lost, made, rows)
	require.NoError(t, err)
	count := func(sql string) (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	require.NoError(t, s.Forget(t.Context(), made))
	require.Equal(t, rows/12*11, count(`SELECT count(*) FROM revocations WHERE bucket IS NULL`))
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, rows, count(`SELECT count(*) FROM revocations`))
	_, err = db.Pool.Exec(t.Context(), `UPDATE revocations SET expires_at = now() - interval '1 second'`)
	require.NoError(t, err)
	require.NoError(t, s.Prune(t.Context()))
	require.Zero(t, count(`SELECT count(*) FROM revocations`))
}
