package store_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/services/billing/domain"
)

// Whatever is done to invoices, in any order, the books balance: each posting,
// and what they say about each invoice.
func TestLedger_AlwaysBalances(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := context.Background()
	calls := 0
	rapid.Check(t, func(rt *rapid.T) {
		inv := f.create(t, alice, rapid.Int64Range(1, domain.MaxAmountMinor).Draw(rt, "amount"))
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"pay", "refund", "cancel"}), 1, 6).Draw(rt, "steps")
		for _, step := range steps {
			calls++
			k := key(alice, strconv.Itoa(calls))
			switch step {
			case "pay":
				_, _ = f.Update(ctx, domain.Own(alice), inv.ID, k, pay)
			case "refund":
				amount := rapid.Int64Range(-1, inv.AmountMinor+1).Draw(rt, "refund")
				_, _ = f.Update(ctx, domain.Own(alice), inv.ID, k, func(i *domain.Invoice) (domain.Change, error) { return i.Refund(amount, now) })
			case "cancel":
				require.NoError(rt, pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error { return f.CancelOrder(ctx, tx, inv.OrderID, now) }))
			}
		}
		after, err := f.Invoice(ctx, domain.Own(alice), inv.ID)
		require.NoError(rt, err)
		require.Equal(rt, expected(after), f.books(rt, inv.ID), "after %v", steps)
	})
	require.Zero(t, f.count(t, `SELECT count(*) FROM (SELECT transaction_id FROM ledger_entries
		GROUP BY transaction_id HAVING sum(amount_minor) <> 0) AS unbalanced`))
}

// expected is what the accounts must say about an invoice.
func expected(i domain.Invoice) map[domain.Account]int64 {
	switch i.Status {
	case domain.Open:
		return map[domain.Account]int64{domain.Receivable: i.AmountMinor, domain.Revenue: -i.AmountMinor}
	case domain.Void:
		return map[domain.Account]int64{domain.Receivable: 0, domain.Revenue: 0}
	default:
		books := map[domain.Account]int64{domain.Receivable: 0, domain.Revenue: -i.AmountMinor, domain.Cash: i.AmountMinor - i.RefundedMinor}
		if i.RefundedMinor > 0 {
			books[domain.Refunds] = i.RefundedMinor
		}
		return books
	}
}

func (f fixture) books(t require.TestingT, invoiceID uuid.UUID) map[domain.Account]int64 {
	rows, err := f.db.Pool.Query(context.Background(), `SELECT account, sum(amount_minor)::bigint FROM ledger_entries
		JOIN ledger_transactions ON id = transaction_id WHERE invoice_id = $1 GROUP BY account`, invoiceID)
	require.NoError(t, err)
	books := map[domain.Account]int64{}
	var account domain.Account
	var sum int64
	_, err = pgx.ForEachRow(rows, []any{&account, &sum}, func() error {
		books[account] = sum
		return nil
	})
	require.NoError(t, err)
	return books
}

// The database itself refuses books that do not balance, whatever the code does.
func TestLedger_DatabaseRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	inv := f.create(t, alice, 1000)
	const transaction = `INSERT INTO ledger_transactions (id, invoice_id, kind, currency, posted_at) VALUES ($1, '%s', 'payment', 'EUR', now())`
	insert := fmt.Sprintf(transaction, inv.ID)
	for name, tc := range map[string]struct {
		statements []string
		constraint string
	}{
		"a transaction without entries": {[]string{insert}, "ledger_balanced"},
		"entries that do not sum to zero": {[]string{insert,
			`INSERT INTO ledger_entries VALUES ($1, 'cash', 10), ($1, 'receivable', -9)`}, "ledger_balanced"},
		"an entry added to an old transaction": {[]string{
			`INSERT INTO ledger_entries SELECT id, 'cash', 5 FROM ledger_transactions WHERE $1::uuid IS NOT NULL LIMIT 1`}, "ledger_balanced"},
		"a changed entry":       {[]string{`UPDATE ledger_entries SET amount_minor = 1 WHERE $1::uuid IS NOT NULL`}, "ledger_append_only"},
		"a deleted entry":       {[]string{`DELETE FROM ledger_entries WHERE $1::uuid IS NOT NULL`}, "ledger_append_only"},
		"a deleted transaction": {[]string{`DELETE FROM ledger_transactions WHERE $1::uuid IS NOT NULL`}, "ledger_append_only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			id := newID(t)
			err := pgx.BeginFunc(ctx, f.db.Pool, func(tx pgx.Tx) error {
				for _, statement := range tc.statements {
					if _, err := tx.Exec(ctx, statement, id); err != nil {
						return err
					}
				}
				return nil
			})
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg)
			require.Equal(t, tc.constraint, pg.ConstraintName)
		})
	}
}
