package participant_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestTombstones_OldKeysStillRefuseAfterARotation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	oldKey, newKey := participant.NewTombstoneKey("k1"), participant.NewTombstoneKey("k2")
	before, err := participant.LoadTombstones(keyFile(t, "# first\n", oldKey))
	require.NoError(t, err)
	run(t, w.participant(func(c *participant.Config) { c.Tombstones = before }).Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)

	after, err := participant.LoadTombstones(keyFile(t, newKey, oldKey))
	require.NoError(t, err)
	require.Equal(t, "k2", after.KeyID())
	require.NotEqual(t, before.Hash(alice), after.Hash(alice))
	require.ErrorIs(t, w.refuse(after, alice), participant.ErrErased)

	without, err := participant.LoadTombstones(keyFile(t, newKey))
	require.NoError(t, err)
	require.NoError(t, w.refuse(without, alice), "a keyed hash means nothing without its key")
}

func TestTombstones_NeedReadCommitted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	tombstones := w.participant().Tombstones()
	ctx := context.Background()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		err := pgx.BeginTxFunc(ctx, w.db.Pool, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
			return tombstones.Refuse(ctx, tx, alice)
		})
		require.ErrorIs(t, err, participant.ErrIsolation)
	}
}

func TestLoadTombstones_Refuses(t *testing.T) {
	t.Parallel()
	key := participant.NewTombstoneKey("k1")
	for name, lines := range map[string][]string{
		"empty":      {"\n# nothing\n"},
		"no ID":      {":" + key[3:]},
		"no colon":   {"k1\n"},
		"not base64": {"k1:???\n"},
		"short":      {"k1:c2hvcnQ=\n"},
		"twice":      {key, participant.NewTombstoneKey("k1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := participant.LoadTombstones(keyFile(t, lines...))
			require.Error(t, err)
			require.NotContains(t, err.Error(), key[3:20])
		})
	}
	_, err := participant.LoadTombstones(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}
