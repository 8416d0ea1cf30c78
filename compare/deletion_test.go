package compare_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
)

// One DELETE takes what hangs on the row; the books stay and forget whose they
// were, because a foreign key cannot keep the ID of a row that is gone.
func TestDeletion_Cascades(t *testing.T) {
	t.Parallel()
	for name, layout := range map[string]func(*shadowConfig){"two databases": func(*shadowConfig) {}, "one database": oneDatabase} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shadow(t, layout)
			s.idp.named("ann", "Ann")
			_, invoice := s.paid(t, "ann")
			bobs, _ := s.paid(t, "bob")
			s.tell(identity.TypeUserCreated, "ann")
			_, err := s.billsDB.Pool.Exec(t.Context(), `INSERT INTO statements (user_id, tenant_id, month, currency, invoices, invoiced_minor, paid_minor, refunded_minor, computed_at)
				VALUES ('ann', 'acme', '2026-11-01', 'EUR', 1, 1, 1, 0, now())`)
			require.NoError(t, err)

			s.tell(identity.TypeUserDeleted, "ann")
			for _, table := range []string{"orders", "idempotency_keys"} {
				require.Zero(t, count(t, s.ordersDB, `SELECT count(*) FROM `+table+` WHERE user_id = 'ann'`), table)
			}
			require.Equal(t, 2, count(t, s.ordersDB, `SELECT count(*) FROM order_items`), "bob's")
			for _, table := range []string{"statements", "idempotency_keys", "invoices"} {
				require.Zero(t, count(t, s.billsDB, `SELECT count(*) FROM `+table+` WHERE user_id = 'ann'`), table)
			}
			require.Equal(t, 1, count(t, s.billsDB, `SELECT count(*) FROM invoices WHERE id = $1 AND user_id IS NULL AND status = 'paid'`, invoice.ID))
			require.Equal(t, 2, count(t, s.billsDB, `SELECT count(*) FROM ledger_transactions WHERE invoice_id = $1`, invoice.ID))
			refunded, err := s.billing.Refund(t.Context(), s.staff("acme"), "k", invoice.ID, 1, 0)
			require.NoError(t, err, "staff can still work with what is nobody's")
			require.EqualValues(t, 1, refunded.RefundedMinor)
			s.Acknowledged(streams.Billing, streams.Durable("orders", "billing"))
			dead, err := s.Broker.JetStream.Stream(t.Context(), streams.DeadLetters)
			require.NoError(t, err)
			require.Zero(t, dead.CachedInfo().State.Msgs, "news of an order that went with its user is no fault")
			_, err = s.orders.Order(t.Context(), s.user("bob"), bobs.ID)
			require.NoError(t, err)
		})
	}
}

// A token outlives its user. Without a tombstone the next request makes the row
// anew, without a name and with no deletion to come: a zombie.
func TestDeletion_ALiveTokenMakesAZombieUnlessTheTombstoneStands(t *testing.T) {
	t.Parallel()
	t.Run("without tombstones", func(t *testing.T) {
		t.Parallel()
		s := shadow(t, func(c *shadowConfig) { c.users.Tombstones = false })
		token := s.user("ann")
		s.place(t, "ann")
		s.tell(identity.TypeUserDeleted, "ann")
		require.Zero(t, count(t, s.ordersDB, `SELECT count(*) FROM users`))
		_, err := s.orders.Place(t.Context(), token, "late", tea)
		require.NoError(t, err)
		require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users WHERE id = 'ann'`))
		require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM orders WHERE user_id = 'ann'`))
		require.Equal(t, 1, count(t, s.billsDB, `SELECT count(*) FROM users WHERE id = 'ann'`), "and where it calls")
	})
	t.Run("with", func(t *testing.T) {
		t.Parallel()
		s := shadow(t)
		token := s.user("ann")
		s.place(t, "ann")
		s.tell(identity.TypeUserDeleted, "ann")
		_, err := s.orders.Place(t.Context(), token, "late", tea)
		refusal(t, err, 403, "user-erased")
		_, err = s.orders.Orders(t.Context(), token, 0, "")
		refusal(t, err, 403, "user-erased")
		require.Zero(t, count(t, s.ordersDB, `SELECT count(*) FROM users`))
		require.Zero(t, count(t, s.billsDB, `SELECT count(*) FROM users`))
	})
	t.Run("with one, where the deletion reached orders alone", func(t *testing.T) {
		t.Parallel()
		s := shadow(t)
		_, invoice := s.paid(t, "ann")
		require.Equal(t, 204, s.deliver(s.ordersAt, s.idp.news("user.deleted", "ann"))) // billing's delivery is lost
		_, err := s.orders.Orders(t.Context(), s.user("ann"), 0, "")
		refusal(t, err, 403, "user-erased")
		_, err = s.billing.Refund(t.Context(), s.user("ann"), "k", invoice.ID, 1, 0)
		require.NoError(t, err, "billing knows nothing of it, and nobody knows that it does not")
	})
}

// What is hard to do across services: another ID is one statement a database.
func TestRekey_IsOneUpdate(t *testing.T) {
	t.Parallel()
	s := shadow(t, oneDatabase)
	order, invoice := s.paid(t, "old|ann")
	_, err := s.ordersDB.Pool.Exec(t.Context(), `UPDATE users SET id = 'new|ann' WHERE id = 'old|ann'`)
	require.NoError(t, err)
	read, err := s.orders.Order(t.Context(), s.user("new|ann"), order.ID)
	require.NoError(t, err)
	require.Equal(t, order.ID, read.ID)
	bill, err := s.billing.Invoice(t.Context(), s.user("new|ann"), invoice.ID)
	require.NoError(t, err)
	require.Equal(t, invoice, bill)
	_, err = s.orders.Order(t.Context(), s.user("old|ann"), order.ID)
	refusal(t, err, 404, "order-not-found")
}

// What one database can do: a question across services is one statement, and no
// invoice is without its order.
func TestOneDatabase_JoinsAndRefuses(t *testing.T) {
	t.Parallel()
	s := shadow(t, oneDatabase)
	s.idp.named("ann", "Ann")
	s.paid(t, "ann")
	s.place(t, "ann")
	s.tell(identity.TypeUserUpdated, "ann")
	require.Equal(t, teaCosts, count(t, s.ordersDB, `SELECT sum(i.amount_minor) FROM users u
		JOIN orders o ON o.user_id = u.id JOIN invoices i ON i.order_id = o.id
		WHERE u.name = 'Ann' AND i.status = 'paid'`))
	_, err := s.ordersDB.Pool.Exec(t.Context(), `INSERT INTO invoices (id, order_id, tenant_id, status, currency, amount_minor, version, created_at, updated_at)
		VALUES (gen_random_uuid(), gen_random_uuid(), 'acme', 'open', 'EUR', 1, 1, now(), now())`)
	require.ErrorContains(t, err, "invoices_order")
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users`), "one row a user, whichever service they came to")
}
