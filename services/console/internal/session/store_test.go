package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/console/internal/seal"
	"github.com/shadowless/shadowless/services/console/internal/session"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// clock is a time that the test moves.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()) }
func (c *clock) Advance(d time.Duration) { c.now.Add(int64(d)) }

type fixture struct {
	store      *session.Store
	db         *identitytest.Database
	clock      *clock
	tombstones *participant.Tombstones
	config     session.StoreConfig
}

const (
	lifetime = time.Hour
	idle     = 20 * time.Minute
)

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	tombstones, err := participant.LoadTombstones(write("tombstones", participant.NewTombstoneKey("t1")))
	require.NoError(t, err)
	ring, err := seal.Load(write("sessions", seal.NewKey()))
	require.NoError(t, err)
	box, err := ring.For("tokens")
	require.NoError(t, err)
	f := &fixture{clock: newClock(), tombstones: tombstones}
	f.db = identitytest.Postgres(t,
		migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		migrate.Set{Name: "console", FS: session.Migrations, Dir: "migrations"})
	f.config = session.StoreConfig{Pool: f.db.Pool, Box: box, Tombstones: tombstones, Lifetime: lifetime, Idle: idle, Now: f.clock.Now}
	f.store = session.NewStore(f.config)
	return f
}

var tokens = session.Tokens{Access: "access-1", Refresh: "refresh-1"}

func TestStore_KeepsNeitherCookieNorTokensReadable(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "auth0|a b", tokens, time.Time{})
	require.NoError(t, err)

	found, err := f.store.Get(ctx, cookie)
	require.NoError(t, err)
	require.Equal(t, "auth0|a b", found.UserID)
	require.Equal(t, tokens, found.Tokens)

	var row string
	require.NoError(t, f.db.Owner.QueryRow(ctx, `SELECT s::text || encode(id, 'escape') || encode(tokens, 'escape') FROM sessions s`).Scan(&row))
	for _, secret := range []string{cookie, "access-1", "refresh-1"} {
		require.NotContains(t, row, secret)
	}
}

func TestStore_UnknownCookies(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	require.NoError(t, f.store.End(ctx, cookie))
	for _, value := range []string{"", "x", cookie, cookie + "=", cookie[:42]} {
		_, err := f.store.Get(ctx, value)
		require.ErrorIs(t, err, session.ErrNone)
		require.NoError(t, f.store.End(ctx, value))
	}
}

func TestStore_EndsWhenIdleAndAtItsEnd(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	for range 3 { // used often enough, it lives past the idle limit
		f.clock.Advance(idle - time.Minute)
		_, err = f.store.Get(ctx, cookie)
		require.NoError(t, err)
	}
	f.clock.Advance(lifetime)
	_, err = f.store.Get(ctx, cookie)
	require.ErrorIs(t, err, session.ErrExpired)
	_, err = f.store.Get(ctx, cookie)
	require.ErrorIs(t, err, session.ErrNone)

	cookie, err = f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	f.clock.Advance(idle + time.Second)
	_, err = f.store.Get(ctx, cookie)
	require.ErrorIs(t, err, session.ErrIdle)

	cookie, err = f.store.Create(ctx, "u", tokens, f.clock.Now().Add(time.Minute))
	require.NoError(t, err)
	f.clock.Advance(time.Minute)
	_, err = f.store.Get(ctx, cookie)
	require.ErrorIs(t, err, session.ErrExpired, "it ends with the id_token")
}

func TestStore_SweepsWhatHasEnded(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	_, err := f.store.Create(ctx, "idle", tokens, time.Time{})
	require.NoError(t, err)
	f.clock.Advance(idle + time.Second)
	live, err := f.store.Create(ctx, "live", tokens, time.Time{})
	require.NoError(t, err)
	n, err := f.store.Sweep(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, err = f.store.Get(ctx, live)
	require.NoError(t, err)
}

func TestStore_RefusesAnErasedUser(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	_, err := f.db.Owner.Exec(ctx, `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, $2, 'e', 1)`,
		f.tombstones.Hash("gone"), f.tombstones.KeyID())
	require.NoError(t, err)
	_, err = f.store.Create(ctx, "gone", tokens, time.Time{})
	require.ErrorIs(t, err, participant.ErrErased)
	var n int
	require.NoError(t, f.db.Pool.QueryRow(ctx, `SELECT count(*) FROM sessions`).Scan(&n))
	require.Zero(t, n)
}

func TestStore_RenewsOnce(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	seen, err := f.store.Get(ctx, cookie)
	require.NoError(t, err)

	var calls atomic.Int32
	fetch := func(_ context.Context, old session.Tokens) (session.Tokens, error) {
		calls.Add(1)
		require.Equal(t, tokens, old)
		return session.Tokens{Access: "access-2", Refresh: "refresh-2"}, nil
	}
	replica := session.NewStore(f.config)
	var group sync.WaitGroup
	for i := range 20 {
		store := f.store
		if i%2 == 1 {
			store = replica
		}
		group.Go(func() {
			renewed, err := store.Renew(ctx, seen, fetch)
			if err != nil || renewed.Tokens.Access != "access-2" {
				t.Errorf("renewed %v: %v", renewed.Tokens.Access == "access-2", err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, calls.Load())
	found, err := f.store.Get(ctx, cookie)
	require.NoError(t, err)
	require.Equal(t, "refresh-2", found.Tokens.Refresh)
}

func TestStore_FailedRenewalChangesNothing(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	seen, err := f.store.Get(ctx, cookie)
	require.NoError(t, err)
	down := errors.New("down")
	_, err = f.store.Renew(ctx, seen, func(context.Context, session.Tokens) (session.Tokens, error) { return session.Tokens{}, down })
	require.ErrorIs(t, err, down)
	found, err := f.store.Get(ctx, cookie)
	require.NoError(t, err)
	require.Equal(t, tokens, found.Tokens)

	require.NoError(t, f.store.End(ctx, cookie))
	_, err = f.store.Renew(ctx, seen, func(context.Context, session.Tokens) (session.Tokens, error) { return tokens, nil })
	require.ErrorIs(t, err, session.ErrNone)
}

func TestStore_TakenAwayKeyEndsSessions(t *testing.T) {
	t.Parallel()
	f, ctx := newFixture(t), context.Background()
	cookie, err := f.store.Create(ctx, "u", tokens, time.Time{})
	require.NoError(t, err)
	other := newFixture(t)
	cfg := other.config
	cfg.Pool = f.db.Pool
	_, err = session.NewStore(cfg).Get(ctx, cookie)
	require.ErrorIs(t, err, session.ErrNone)
}
