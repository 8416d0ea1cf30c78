package erasures_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func settings(t *testing.T) erasures.Settings {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(keys, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(keys)
	require.NoError(t, err)
	return erasures.Settings{Grace: time.Hour, Deadline: time.Hour, PerHour: 100, Tombstones: tombstones, Now: time.Now}
}

// Within no hour does a source open more than it may; others have limits of their own.
func TestOpen_TheBreakerLooksAtTheLastHour(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	begin := time.Date(2026, 5, 1, 12, 0, 59, 0, time.UTC)
	now := begin
	s.PerHour, s.Now = 2, func() time.Time { return now }
	users := 0
	open := func(source string, after time.Duration) erasures.State {
		t.Helper()
		now = begin.Add(after)
		users++
		var id uuid.UUID
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) (err error) {
			id, _, err = erasures.Open(t.Context(), tx, s, fmt.Sprint("u", users), source)
			return err
		}))
		e, err := erasures.Get(t.Context(), db.Pool, id)
		require.NoError(t, err)
		return e.State
	}
	require.Equal(t, erasures.Grace, open("auther", 0))
	require.Equal(t, erasures.Grace, open("auther", 30*time.Minute))
	users-- // it is open already, so it does not count again
	open("auther", 31*time.Minute)
	require.Equal(t, erasures.Grace, open("reconciliation", 32*time.Minute))
	require.Equal(t, erasures.Held, open("auther", time.Hour-time.Second))
	require.Equal(t, erasures.Held, open("auther", time.Hour+20*time.Minute), "what was held counts, too")
	require.Equal(t, erasures.Grace, open("auther", 3*time.Hour))
	var minutes int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM erasure_breaker`).Scan(&minutes))
	require.Equal(t, 6, minutes, "at most 61 rows are read for a decision, however many erasures there are")
}
