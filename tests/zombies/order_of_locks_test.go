package zombies

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestSystem_AnErasureAndAnInvoiceDoNotWaitInACircle: remembering an invoice
// locks the order and then the key that it was placed under. An erasure that
// locked the two the other way round would have PostgreSQL end one of them.
func TestSystem_AnErasureAndAnInvoiceDoNotWaitInACircle(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ctx := context.Background()
	p := s.newPerson()
	l := &life{system: s, people: [2]*person{p, s.newPerson()}}
	defer l.drop()
	s.gate.set(p.id, true)
	placed, err := s.orders.Place(ctx, p.token, uuid.NewString(), basket)
	require.NoError(t, err)

	invoice, err := s.holders[orders].Begin(ctx)
	require.NoError(t, err)
	defer invoice.Rollback(ctx) //nolint:errcheck // after the commit it does nothing
	// Below PostgreSQL's deadlock_timeout of a second: it would sacrifice the
	// erasure, which comes again, and nobody would notice.
	_, err = invoice.Exec(ctx, `SET LOCAL lock_timeout = '500ms'`)
	require.NoError(t, err)
	_, err = invoice.Exec(ctx, `SELECT FROM orders WHERE id = $1 FOR UPDATE`, placed.ID)
	require.NoError(t, err)
	require.NoError(t, l.erase(p))
	require.NoError(t, l.release(orders))
	require.NoError(t, l.until("the erasure to wait", func() bool { return s.waits(orders, invoice.Conn().PgConn().PID()) }))
	tag, err := invoice.Exec(ctx, `UPDATE idempotency_keys SET answer = answer WHERE user_id = $1`, p.id)
	require.NoError(t, err, "the erasure holds the key and waits for the order")
	require.EqualValues(t, 1, tag.RowsAffected())
	require.NoError(t, invoice.Commit(ctx))

	require.NoError(t, l.rest())
	require.NoError(t, l.finished())
}
