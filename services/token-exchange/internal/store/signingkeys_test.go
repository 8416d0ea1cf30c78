package store_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

const day = 24 * time.Hour

var schedule = signing.Schedule{Algorithm: signing.ES256, RotateEvery: 30 * day, RetainFor: 60 * day, PublishAhead: day, EmergencyLead: 15 * time.Second}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func secrets(t *testing.T, ids ...string) *keyring.Ring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	var content strings.Builder
	for _, id := range ids {
		content.WriteString(api.GenerateSecretKey(id))
	}
	require.NoError(t, os.WriteFile(path, []byte(content.String()), 0o600))
	ring, err := keyring.Load(path)
	require.NoError(t, err)
	return ring
}

func newRing(db *identitytest.Database, s *keyring.Ring, sched signing.Schedule, c *clock) *signing.Ring {
	return signing.NewRing(store.NewSigningKeys(db.Pool), s, sched, c.Now, slog.New(slog.DiscardHandler))
}

func kids(t *testing.T, r *signing.Ring) (published []string, signer string) {
	t.Helper()
	document, ok := r.KeySet()
	require.True(t, ok)
	var set struct{ Keys []signing.JWK }
	require.NoError(t, json.Unmarshal(document.Document, &set))
	for _, k := range set.Keys {
		published = append(published, k.KeyID)
	}
	token, err := r.Sign("at+jwt", jwt.MapClaims{"sub": "x"})
	require.NoError(t, err)
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	require.NoError(t, err)
	signer, ok = parsed.Header["kid"].(string)
	require.True(t, ok)
	return published, signer
}

// TestRotate_PublishesBeforeItSigns also is statement G6.
func TestRotate_PublishesBeforeItSigns(t *testing.T) {
	t.Parallel()
	for _, algorithm := range signing.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			publishesBeforeItSigns(t, algorithm)
		})
	}
}

func publishesBeforeItSigns(t *testing.T, algorithm string) {
	t.Helper()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	own := schedule
	own.Algorithm = algorithm
	r := newRing(db, secrets(t, "a"), own, c)
	require.ErrorIs(t, r.Ready(), signing.ErrNoKey)
	require.NoError(t, r.Rotate(ctx))
	published, first := kids(t, r)
	require.Equal(t, []string{first}, published)

	c.Advance(29*day - time.Second)
	require.NoError(t, r.Rotate(ctx))
	published, _ = kids(t, r)
	require.Len(t, published, 1, "too early")

	c.Advance(time.Second)
	require.NoError(t, r.Rotate(ctx))
	published, signer := kids(t, r)
	require.Len(t, published, 2)
	require.Equal(t, first, signer, "the new key is published and does not sign yet")
	second := published[1]

	c.Advance(day - time.Second)
	require.ErrorIs(t, r.Ready(), signing.ErrStale, "whoever read the keys too long ago does not sign")
	require.NoError(t, r.Rotate(ctx))
	_, signer = kids(t, r)
	require.Equal(t, first, signer)
	c.Advance(time.Second)
	_, signer = kids(t, r)
	require.Equal(t, second, signer, "the time has come, without another rotation")

	c.Advance(60*day - time.Second)
	require.NoError(t, r.Rotate(ctx))
	published, _ = kids(t, r)
	require.Contains(t, published, first, "kept for 60 days after it stopped")
	c.Advance(time.Second)
	require.NoError(t, r.Rotate(ctx))
	published, _ = kids(t, r)
	require.NotContains(t, published, first)
	require.Contains(t, published, second)
	keys, _ := r.Keys()
	for _, k := range keys {
		require.Equal(t, algorithm, k.Algorithm)
	}
	set, _ := r.KeySet()
	require.Equal(t, signing.MaxAge, set.MaxAge, "the schedule is no reason to hurry anybody")
}

func TestRotate_ANewAlgorithmIsPublishedFirst(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	s := secrets(t, "a")
	r := newRing(db, s, schedule, c)
	require.NoError(t, r.Rotate(ctx))
	_, first := kids(t, r)
	for _, algorithm := range []string{signing.EdDSA, signing.RS256} {
		other := schedule
		other.Algorithm = algorithm
		next := newRing(db, s, other, c)
		require.NoError(t, next.Rotate(ctx))
		require.NoError(t, next.Rotate(ctx), "asked again, it makes no second one")
		published, signer := kids(t, next)
		require.Equal(t, first, signer)
		c.Advance(day)
		require.NoError(t, next.Rotate(ctx))
		published2, signer := kids(t, next)
		require.Equal(t, published, published2)
		require.Equal(t, published[len(published)-1], signer)
		first = signer
	}
}

func TestRotate_ManyReplicasAgree(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	s := secrets(t, "a")
	rings := make([]*signing.Ring, 8)
	var wg sync.WaitGroup
	errs := make(chan error, len(rings))
	for i := range rings {
		rings[i] = newRing(db, s, schedule, c)
		wg.Go(func() { errs <- rings[i].Rotate(ctx) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	_, first := kids(t, rings[0])
	for _, r := range rings {
		published, signer := kids(t, r)
		require.Equal(t, []string{first}, published)
		require.Equal(t, first, signer)
	}
}

// TestSigningKeys_RestAndRestart also is statement G8 for private keys.
func TestSigningKeys_RestAndRestart(t *testing.T) {
	t.Parallel()
	ctx, db, c := context.Background(), database(t), &clock{now: time.Now()}
	s := secrets(t, "a")
	r := newRing(db, s, schedule, c)
	require.NoError(t, r.Rotate(ctx))
	_, first := kids(t, r)

	again := newRing(db, s, schedule, c)
	require.NoError(t, again.Rotate(ctx))
	_, signer := kids(t, again)
	require.Equal(t, first, signer, "a restart keeps its key")

	foreign := newRing(db, secrets(t, "a"), schedule, c)
	require.Error(t, foreign.Rotate(ctx), "another key-encryption key opens nothing")
	require.ErrorIs(t, foreign.Ready(), signing.ErrNoKey)

	_, err := db.Pool.Exec(ctx, `UPDATE signing_keys SET kid = 'other', public_jwk = jsonb_set(public_jwk, '{kid}', '"other"')`)
	require.NoError(t, err)
	require.ErrorContains(t, newRing(db, s, schedule, c).Rotate(ctx), "other", "a sealed key is bound to its kid")
}

func TestSchedule_RefusesWhatWouldBreakVerification(t *testing.T) {
	t.Parallel()
	life := 15 * time.Minute
	require.Empty(t, schedule.Faults(life))
	for name, bad := range map[string]signing.Schedule{
		"algorithm":  {Algorithm: "HS256", RotateEvery: 30 * day, RetainFor: 60 * day, PublishAhead: day, EmergencyLead: time.Second},
		"ahead":      {Algorithm: signing.ES256, RotateEvery: 30 * day, RetainFor: 60 * day, PublishAhead: time.Minute, EmergencyLead: time.Second},
		"every":      {Algorithm: signing.ES256, RotateEvery: day, RetainFor: 60 * day, PublishAhead: day, EmergencyLead: time.Second},
		"retain":     {Algorithm: signing.ES256, RotateEvery: 30 * day, RetainFor: life, PublishAhead: day, EmergencyLead: time.Second},
		"no lead":    {Algorithm: signing.ES256, RotateEvery: 30 * day, RetainFor: 60 * day, PublishAhead: day},
		"long ahead": {Algorithm: signing.ES256, RotateEvery: 30 * day, RetainFor: 60 * day, PublishAhead: day, EmergencyLead: time.Hour},
	} {
		require.Len(t, bad.Faults(life), 1, name)
	}
}
