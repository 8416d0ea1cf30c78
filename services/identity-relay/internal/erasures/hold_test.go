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

// Whoever seals an erasure has its row, and passes over a user that a hold has
// locked. The hold comes too late and says so, also while the row is taken.
func TestHoldUser_DoesNotWaitForWhoSealsTheErasure(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	id := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until)
		VALUES ($1, 'u1', $2, 'k1', 'auther', 'requested', now(), now())`, id, s.Tombstones.Hash("u1"))
	require.NoError(t, err)
	hold := func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
			_, err := erasures.HoldUser(ctx, tx, s, "u1", erasures.Decider{By: "operator", Reason: "file 7"})
			return err
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sealing, err := db.Pool.Begin(ctx)
	require.NoError(t, err)
	defer sealing.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has done nothing
	_, err = sealing.Exec(ctx, `SELECT FROM erasures WHERE id = $1 FOR UPDATE`, id)
	require.NoError(t, err)
	require.ErrorIs(t, hold(ctx), erasures.ErrUnderWay)

	// The relay has erased its own rows: the row does not name the user any more.
	_, err = sealing.Exec(ctx, `UPDATE erasures SET user_id = 'erased:' || id WHERE id = $1`, id)
	require.NoError(t, err)
	require.NoError(t, sealing.Commit(ctx))
	require.ErrorIs(t, hold(ctx), erasures.ErrUnderWay)
}
