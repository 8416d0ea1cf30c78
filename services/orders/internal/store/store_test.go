package store_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/orders/domain"
	"github.com/shadowless/shadowless/services/orders/internal/store"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

var (
	alice = domain.Owner{UserID: "alice", TenantID: "acme"}
	bob   = domain.Owner{UserID: "bob", TenantID: "acme"}
	now   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

type fixture struct {
	*store.Store
	db         *identitytest.Database
	tombstones *participant.Tombstones
}

func setup(t *testing.T) fixture {
	t.Helper()
	db := identitytest.Postgres(t, store.Migrations()...)
	file := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(file, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(file)
	require.NoError(t, err)
	return fixture{store.New(db.Pool, tombstones, func() {}, time.Minute), db, tombstones}
}

func order(t *testing.T, owner domain.Owner) domain.Order {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	o, err := domain.New(id, owner, "EUR", []domain.Item{{SKU: "tea", Quantity: 2, UnitPriceMinor: 350}, {SKU: "cup", Quantity: 1, UnitPriceMinor: 99}}, now)
	require.NoError(t, err)
	return o
}

func key(owner domain.Owner, value string, parts ...any) idempotency.Key {
	return idempotency.Key{UserID: owner.UserID, TenantID: owner.TenantID, Operation: "place", Value: value, Hash: idempotency.Hash(parts...)}
}

func (f fixture) place(t *testing.T, owner domain.Owner) domain.Order {
	t.Helper()
	placed, repeated, err := f.Place(context.Background(), order(t, owner), key(owner, uuid.NewString()))
	require.NoError(t, err)
	require.False(t, repeated)
	return placed
}

func cancel(o *domain.Order) (bool, error) { return o.Cancel(now) }

func TestPlace_OncePerKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	first, repeated, err := f.Place(ctx, order(t, alice), key(alice, "k", 1))
	require.NoError(t, err)
	require.False(t, repeated)
	again, repeated, err := f.Place(ctx, order(t, alice), key(alice, "k", 1))
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, first, again)
	_, _, err = f.Place(ctx, order(t, alice), key(alice, "k", 2))
	require.ErrorIs(t, err, idempotency.ErrReused)
	_, repeated, err = f.Place(ctx, order(t, bob), key(bob, "k", 1))
	require.NoError(t, err)
	require.False(t, repeated, "a key is its user's own")
}

func TestPlace_ManyAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var wg sync.WaitGroup
	ids := make([]uuid.UUID, 8)
	for n := range ids {
		o := order(t, alice)
		wg.Go(func() {
			placed, _, err := f.Place(context.Background(), o, key(alice, "k"))
			if err != nil {
				t.Error(err)
			}
			ids[n] = placed.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func TestOrder_IsReachedByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	o := f.place(t, alice)
	found, err := f.Order(ctx, alice, o.ID)
	require.NoError(t, err)
	require.Equal(t, o, found)
	for _, other := range []domain.Owner{bob, {UserID: "alice", TenantID: "other"}, {UserID: "ALICE", TenantID: "acme"}, {UserID: "alice ", TenantID: "acme"}} {
		_, err := f.Order(ctx, other, o.ID)
		require.ErrorIs(t, err, domain.ErrNotFound)
		_, err = f.Cancel(ctx, other, o.ID, cancel)
		require.ErrorIs(t, err, domain.ErrNotFound)
	}
}

func TestOrders_PagesWithTheirItems(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	f.place(t, bob)
	var want []domain.Order
	for range 4 {
		want = append([]domain.Order{f.place(t, alice)}, want...)
	}
	rows, err := f.Orders(ctx, alice, page.Page{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, want[:3], rows)
	rows, err = f.Orders(ctx, alice, page.Page{Limit: 2, Before: &want[2].ID})
	require.NoError(t, err)
	require.Equal(t, want[3:], rows)
}

func TestSetInvoice_CompletesTheStoredAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	k, invoice := key(alice, "k"), uuid.New()
	o, _, err := f.Place(ctx, order(t, alice), k)
	require.NoError(t, err)
	invoiced, err := f.SetInvoice(ctx, o.ID, invoice, &k, now)
	require.NoError(t, err)
	require.Equal(t, invoice, *invoiced.InvoiceID)
	again, _, err := f.Place(ctx, order(t, alice), k)
	require.NoError(t, err)
	require.Equal(t, invoiced, again)
}

func TestCancel_AnnouncesOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	o := f.place(t, alice)
	for range 2 {
		canceled, err := f.Cancel(ctx, alice, o.ID, cancel)
		require.NoError(t, err)
		require.Equal(t, domain.Canceled, canceled.Status)
	}
	var n int
	require.NoError(t, f.db.Pool.QueryRow(ctx, `SELECT count(*) FROM mailbox_outbox`).Scan(&n))
	require.Equal(t, 1, n)
}

func TestUninvoiced_TakesTurns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	waiting, invoiced, canceled := f.place(t, alice), f.place(t, alice), f.place(t, alice)
	_, err := f.SetInvoice(ctx, invoiced.ID, uuid.New(), nil, now)
	require.NoError(t, err)
	_, err = f.Cancel(ctx, alice, canceled.ID, cancel)
	require.NoError(t, err)

	due := func(at time.Time) []uuid.UUID {
		orders, err := f.Uninvoiced(ctx, at, 10)
		require.NoError(t, err)
		ids := []uuid.UUID{}
		for _, o := range orders {
			ids = append(ids, o.ID)
		}
		return ids
	}
	require.Empty(t, due(now.Add(59*time.Second)), "the call that placed it may still be under way")
	at := now.Add(time.Minute)
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		pause := time.Duration(seconds) * time.Second
		require.Equal(t, []uuid.UUID{waiting.ID}, due(at))
		require.Empty(t, due(at.Add(pause-time.Millisecond)))
		at = at.Add(pause)
	}
}

func TestWrite_RefusesAnErasedUser(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	o := f.place(t, alice)
	_, err := f.db.Pool.Exec(ctx, `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, $2, 'e1', 1)`,
		f.tombstones.Hash("alice"), f.tombstones.KeyID())
	require.NoError(t, err)
	_, _, err = f.Place(ctx, order(t, alice), key(alice, "k"))
	require.ErrorIs(t, err, domain.ErrUserErased)
	_, err = f.Cancel(ctx, alice, o.ID, cancel)
	require.ErrorIs(t, err, domain.ErrUserErased)
	_, err = f.SetInvoice(ctx, o.ID, uuid.New(), nil, now)
	require.NoError(t, err, "an order of nobody still gets its invoice")
}

func TestHear_UnknownOrder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := pgx.BeginFunc(context.Background(), f.db.Pool, func(tx pgx.Tx) error {
		return f.Hear(context.Background(), tx, domain.Invoice{ID: uuid.New(), OrderID: uuid.New(), Version: 2}, now)
	})
	require.ErrorIs(t, err, domain.ErrNotFound)
}
