package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/services/billing/domain"
)

func TestCreate_OneInvoiceAnOrder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first := f.create(t, alice, 1000)
	again, change, err := domain.New(newID(t), first.OrderID, alice, "EUR", 1000, now)
	require.NoError(t, err)
	stored, err := f.Create(context.Background(), again, change)
	require.NoError(t, err)
	require.Equal(t, first, stored)
	require.EqualValues(t, 1, f.count(t, "SELECT count(*) FROM ledger_transactions"))
}

func TestCreate_ManyAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	f := setup(t)
	orderID := newID(t)
	var wg sync.WaitGroup
	ids := make([]domain.Invoice, 8)
	for n := range ids {
		wg.Go(func() {
			inv, change, err := domain.New(newID(t), orderID, alice, "EUR", 1000, now)
			if err == nil {
				ids[n], err = f.Create(context.Background(), inv, change)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, inv := range ids {
		require.Equal(t, ids[0].ID, inv.ID)
	}
}

func TestInvoice_IsReachedByItsOwnerAndItsTenantsStaffOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	inv := f.create(t, alice, 1000)
	for _, scope := range []domain.Scope{
		domain.Own(bob), domain.Own(domain.Owner{UserID: "alice", TenantID: "other"}),
		domain.Own(domain.Owner{UserID: "Alice", TenantID: "acme"}), domain.WholeTenant("other"),
	} {
		_, err := f.Invoice(ctx, scope, inv.ID)
		require.ErrorIs(t, err, domain.ErrNotFound)
		_, err = f.Update(ctx, scope, inv.ID, key(bob, inv.ID.String()+scope.TenantID+scope.UserID), pay)
		require.ErrorIs(t, err, domain.ErrNotFound)
	}
	for _, scope := range []domain.Scope{domain.Own(alice), domain.WholeTenant("acme")} {
		found, err := f.Invoice(ctx, scope, inv.ID)
		require.NoError(t, err)
		require.Equal(t, inv, found)
	}
}

func TestInvoices_PagesNewestFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	f.create(t, bob, 5)
	var want []domain.Invoice
	for range 5 {
		want = append([]domain.Invoice{f.create(t, alice, 7)}, want...)
	}
	rows, err := f.Invoices(ctx, alice, page.Page{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, want[:3], rows, "one more than the limit, to see whether there is a next page")
	rows, err = f.Invoices(ctx, alice, page.Page{Limit: 10, Before: &want[1].ID})
	require.NoError(t, err)
	require.Equal(t, want[2:], rows)
}

func TestUpdate_RepeatedCallIsAnsweredAlikeAndDoneOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	inv := f.create(t, alice, 1000)
	k := key(alice, "k", inv.ID, 1000)
	first, err := f.Update(ctx, domain.Own(alice), inv.ID, k, pay)
	require.NoError(t, err)
	_, err = f.Update(ctx, domain.Own(alice), inv.ID, key(alice, "refund"), func(i *domain.Invoice) (domain.Change, error) { return i.Refund(1, now) })
	require.NoError(t, err)
	again, err := f.Update(ctx, domain.Own(alice), inv.ID, k, pay)
	require.NoError(t, err)
	first.Owner = domain.Owner{}
	require.Equal(t, first, again)
	require.EqualValues(t, 2, f.count(t, "SELECT count(*) FROM mailbox_outbox"))

	_, err = f.Update(ctx, domain.Own(alice), inv.ID, key(alice, "k", inv.ID, 999), pay)
	require.ErrorIs(t, err, idempotency.ErrReused)
}

func TestUpdate_ManyAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	inv := f.create(t, alice, 1000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := f.Update(context.Background(), domain.Own(alice), inv.ID, key(alice, "k"), pay); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, f.count(t, "SELECT count(*) FROM ledger_transactions WHERE kind = 'payment'"))
}

func TestUpdate_FailureLeavesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	inv := f.create(t, alice, 1000)
	_, err := f.Update(ctx, domain.Own(alice), inv.ID, key(alice, "k"), func(i *domain.Invoice) (domain.Change, error) { return i.Refund(1, now) })
	require.ErrorIs(t, err, domain.ErrNotPaid)
	require.Zero(t, f.count(t, "SELECT count(*) FROM idempotency_keys"))
	_, err = f.Update(ctx, domain.Own(alice), inv.ID, key(alice, "k"), pay)
	require.NoError(t, err)
}

func TestWrite_RefusesAnErasedUser(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	inv := f.create(t, alice, 1000)
	f.erase(t, "alice")
	_, err := f.Update(ctx, domain.Own(alice), inv.ID, key(alice, "k"), pay)
	require.ErrorIs(t, err, domain.ErrUserErased)
	next, change, err := domain.New(newID(t), newID(t), alice, "EUR", 1, now)
	require.NoError(t, err)
	_, err = f.Create(ctx, next, change)
	require.ErrorIs(t, err, domain.ErrUserErased)
	written, err := f.WriteStatement(ctx, alice, now.AddDate(0, 0, -20), now)
	require.NoError(t, err)
	require.False(t, written)
}

func TestCancelOrder_BeforeTheInvoiceExists(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	orderID := newID(t)
	for range 2 { // once more than needed: events repeat
		require.NoError(t, pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error { return f.CancelOrder(ctx, tx, orderID, now) }))
	}
	inv, change, err := domain.New(newID(t), orderID, alice, "EUR", 1000, now)
	require.NoError(t, err)
	stored, err := f.Create(ctx, inv, change)
	require.NoError(t, err)
	require.Equal(t, domain.Void, stored.Status)
	require.Zero(t, f.count(t, "SELECT count(*) FROM ledger_entries"), "what was never owed is not in the books")
}

func TestCancelOrder_RacesWithTheInvoice(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	for range 20 {
		orderID := newID(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			inv, change, err := domain.New(newID(t), orderID, alice, "EUR", 1000, now)
			if err == nil {
				_, err = f.Create(ctx, inv, change)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error { return f.CancelOrder(ctx, tx, orderID, now) }); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
	require.Zero(t, f.count(t, "SELECT count(*) FROM invoices WHERE status <> 'void'"))
}

func TestCancelOrder_VoidsAnOpenInvoiceAndRefundsAPaidOne(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	open, paid := f.create(t, alice, 1000), f.create(t, alice, 2000)
	_, err := f.Update(ctx, domain.Own(alice), paid.ID, key(alice, "k"), pay)
	require.NoError(t, err)
	for _, inv := range []domain.Invoice{open, paid, open, paid} {
		require.NoError(t, pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error { return f.CancelOrder(ctx, tx, inv.OrderID, now) }))
	}
	voided, err := f.Invoice(ctx, domain.Own(alice), open.ID)
	require.NoError(t, err)
	require.Equal(t, domain.Void, voided.Status)
	refunded, err := f.Invoice(ctx, domain.Own(alice), paid.ID)
	require.NoError(t, err)
	require.Equal(t, domain.Refunded, refunded.Status)
	require.EqualValues(t, 2000, refunded.RefundedMinor)
	require.EqualValues(t, 3, f.count(t, "SELECT count(*) FROM mailbox_outbox"), "paid, voided, refunded")
}

func TestWriteStatement_SumsTheMonth(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	a, b := f.create(t, alice, 1000), f.create(t, alice, 500)
	_, err := f.Update(ctx, domain.Own(alice), a.ID, key(alice, "p"), pay)
	require.NoError(t, err)
	_, err = f.Update(ctx, domain.Own(alice), a.ID, key(alice, "r"), func(i *domain.Invoice) (domain.Change, error) { return i.Refund(300, now) })
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error { return f.CancelOrder(ctx, tx, b.OrderID, now) }))
	month := now.AddDate(0, 0, 1-now.Day()).Truncate(24 * 3600e9)
	owners, err := f.Customers(ctx, month, domain.Owner{}, 10)
	require.NoError(t, err)
	require.Equal(t, []domain.Owner{alice}, owners)
	for range 2 {
		written, err := f.WriteStatement(ctx, alice, month, now)
		require.NoError(t, err)
		require.True(t, written)
	}
	require.EqualValues(t, 1, f.count(t, `SELECT count(*) FROM statements WHERE user_id = 'alice' AND month = '2026-11-01'
		AND invoices = 2 AND invoiced_minor = 1000 AND paid_minor = 1000 AND refunded_minor = 300`))
}
