package erasures_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

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
