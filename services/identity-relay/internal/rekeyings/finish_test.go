package rekeyings_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/rekeyings"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// warnings sends what is logged.
type warnings chan string

func (w warnings) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

func newTombstones(t *testing.T) *participant.Tombstones {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(keys, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(keys)
	require.NoError(t, err)
	return tombstones
}

// Two replicas look for the same work in the same order. The one that is later
// must not take what the first has done for undone.
func TestRun_TwoReplicasDoNotCollide(t *testing.T) {
	t.Parallel()
	const n = 40
	db := identitytest.Postgres(t, schema.Sets()...)
	tombstones := newTombstones(t)
	raw, err := os.ReadFile("../../manifest.yaml")
	require.NoError(t, err)
	manifest, err := participant.ParseManifest(raw)
	require.NoError(t, err)
	for i := range n {
		id, oldID, newID := uuid.New(), fmt.Sprint("old", i), fmt.Sprint("new", i)
		_, err := db.Pool.Exec(t.Context(), `WITH r AS (INSERT INTO rekeyings (id, old_hash, new_hash, hash_key_id, requested_by, state, opened_at, due_at)
				VALUES ($1, $2, $3, 'k1', 'operator', 'requested', now(), now() + interval '1 hour')),
			p AS (INSERT INTO rekeying_participants (rekeying_id, participant) VALUES ($1, 'identity-relay'))
			INSERT INTO rekeying_users (rekeying_id, role, user_id) VALUES ($1, 'old', $4), ($1, 'new', $5)`,
			id, tombstones.Hash(oldID), tombstones.Hash(newID), oldID, newID)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `INSERT INTO events (version, id, source, type, user_id, occurred_at, stream_sequence, removed_at)
			VALUES ($1, $2, 'operator', 'user.rekeyed', $3, now(), 1, now())`, i+1, id, oldID)
		require.NoError(t, err)
	}
	logged := make(warnings, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	for range 2 {
		replica := rekeyings.New(rekeyings.Service{
			Pool: db.Pool, Manifest: manifest, Tombstones: tombstones, Now: time.Now, Log: slog.New(slog.NewTextHandler(logged, nil)),
		})
		go func() { done <- replica.Run(ctx) }()
	}
	require.Eventually(t, func() bool {
		var complete int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM rekeyings WHERE state = 'complete'`).Scan(&complete)
		return err == nil && complete == n
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	close(logged)
	for line := range logged {
		require.Fail(t, "one of them failed", line)
	}
	var moved int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE user_id LIKE 'new%'`).Scan(&moved))
	require.Equal(t, n, moved)
}
