package store_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// TestReplace_EveryReplicaAtOnce: two replicas never disagree, also when one of
// them has not heard of it.
func TestReplace_EveryReplicaAtOnce(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s := secrets(t, "a")
	a, b := newRing(db, s, schedule, c), newRing(db, s, schedule, c)
	require.NoError(t, a.Rotate(ctx))
	require.NoError(t, a.Announce(ctx, "operator"))
	require.NoError(t, a.Announce(ctx, "operator"), "one that waits is enough")
	require.NoError(t, b.Rotate(ctx))
	published, first := kids(t, a)
	require.Len(t, published, 2)

	require.NoError(t, a.Replace(ctx, "operator"))
	withNew, signer := kids(t, a)
	require.Len(t, withNew, 3, "the new key is published before it signs")
	require.Equal(t, first, signer)
	next := withNew[1] // between the one that signs and the one that was announced
	require.NotContains(t, published, next)
	before, _ := a.KeySet()
	require.Equal(t, schedule.EmergencyLead, before.MaxAge, "nobody keeps the old keys beyond their end")

	c.Advance(schedule.EmergencyLead - time.Second)
	require.NoError(t, a.Rotate(ctx))
	last, _ := a.KeySet()
	require.Equal(t, time.Second, last.MaxAge)
	_, signer = kids(t, a)
	require.Equal(t, first, signer)
	_, signer = kids(t, b)
	require.Equal(t, first, signer, "b has not heard of it")

	c.Advance(time.Second)
	published, signer = kids(t, a)
	require.Equal(t, []string{next}, published, "without another read")
	require.Equal(t, next, signer)
	after, _ := a.KeySet()
	require.NotEqual(t, before.ETag, after.ETag)
	require.Equal(t, signing.AlertMaxAge, after.MaxAge)
	require.ErrorIs(t, b.Ready(), signing.ErrStale, "b signs nothing until it has read the keys")
	_, err := b.Sign("at+jwt", map[string]any{})
	require.ErrorIs(t, err, signing.ErrStale)
	require.NoError(t, b.Rotate(ctx))
	published, signer = kids(t, b)
	require.Equal(t, []string{next}, published)
	require.Equal(t, next, signer)

	var rows, changes int
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM signing_keys), (SELECT count(*) FROM changes WHERE actor = 'operator')`).Scan(&rows, &changes))
	require.Equal(t, 1, rows, "nothing is left of a key that others may know")
	require.Equal(t, 2, changes)

	c.Advance(signing.AlertFor - time.Second)
	alert, _ := b.KeySet()
	require.Equal(t, signing.AlertMaxAge, alert.MaxAge)
	c.Advance(time.Second)
	calm, _ := b.KeySet()
	require.Equal(t, signing.MaxAge, calm.MaxAge)
}

// TestReplace_AgainBeforeItTookEffect ends the first new key too.
func TestReplace_AgainBeforeItTookEffect(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	r := newRing(db, secrets(t, "a"), schedule, c)
	require.NoError(t, r.Rotate(ctx))
	require.NoError(t, r.Replace(ctx, "operator"))
	c.Advance(5 * time.Second)
	require.NoError(t, r.Replace(ctx, "operator"))
	for range 5 {
		c.Advance(5 * time.Second)
		require.NoError(t, r.Rotate(ctx))
		require.NoError(t, r.Ready(), "there is a key at every moment")
	}
	published, signer := kids(t, r)
	require.Equal(t, []string{signer}, published)
}

// TestRotate_SealsAnew carries the keys over to a new key-encryption key while
// tokens are signed, without a restart.
func TestRotate_SealsAnew(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	file := filepath.Join(t.TempDir(), "keys")
	old, next := api.GenerateSecretKey("e1"), api.GenerateSecretKey("e2")
	require.NoError(t, os.WriteFile(file, []byte(old), 0o600))
	load := func() *keyring.Ring {
		ring, err := keyring.Load(file)
		require.NoError(t, err)
		return ring
	}
	require.NoError(t, newRing(db, load(), schedule, c).Rotate(ctx))
	require.NoError(t, os.WriteFile(file, []byte(next+old), 0o600))
	r := newRing(db, load(), schedule, c)
	require.NoError(t, r.Rotate(ctx))
	_, signer := kids(t, r)
	var sealedBy string
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT encryption_key_id FROM signing_keys`).Scan(&sealedBy))
	require.Equal(t, "e2", sealedBy)
	require.NoError(t, os.WriteFile(file, []byte(next), 0o600))
	alone := newRing(db, load(), schedule, c)
	require.NoError(t, alone.Rotate(ctx))
	_, same := kids(t, alone)
	require.Equal(t, signer, same)
}

// slow is a store whose change ends after a read that began later and saw nothing of it.
type slow struct {
	signing.Store
	during func()
}

func (s *slow) Rotate(ctx context.Context, plan signing.Plan) ([]signing.Record, error) {
	if during := s.during; during != nil {
		s.during = nil
		during()
	}
	return s.Store.Rotate(ctx, plan)
}

func TestAnnounce_ALaterReadDoesNotHideIt(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	keys := &slow{Store: store.NewSigningKeys(db.Pool)}
	r := signing.NewRing(keys, secrets(t, "a"), schedule, c.Now, slog.New(slog.DiscardHandler))
	require.NoError(t, r.Rotate(ctx))
	keys.during = func() {
		c.Advance(time.Second)
		require.NoError(t, r.Rotate(ctx))
		c.Advance(time.Second)
	}
	require.NoError(t, r.Announce(ctx, "operator"))
	all, _ := r.Keys()
	require.Len(t, all, 2, "who asked for the key is shown it")
}
