package zombies

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// deliver lets a participant handle its identity events, until all are done or
// one waits for a request that is held.
func (l *life) deliver(at int) error {
	if err := l.release(at); err != nil {
		return err
	}
	return l.until(names[at]+" to handle its erasures", func() bool {
		return l.erasuresDone(at) || at == orders && len(l.held) > 0 && l.waits(orders, 0)
	})
}

// forget removes inbox rows, as pruning does a month later.
func (l *life) forget(at int, messageID string) error {
	_, err := l.dbs[at].Owner.Exec(context.Background(), `DELETE FROM mailbox_inbox WHERE message_id = $1`, messageID)
	return err
}

// unpublish puts a message that the stream has back into the outbox: what a crash
// between publish and delete leaves behind.
func (l *life) unpublish(at int) error {
	ctx := context.Background()
	for _, name := range []string{map[int]string{orders: "ORDERS", billing: "BILLING"}[at], "RECEIPTS"} {
		stream, err := l.Broker.JetStream.Stream(ctx, name)
		if err != nil {
			return err
		}
		m, err := stream.GetMsg(ctx, stream.CachedInfo().State.LastSeq)
		if err != nil {
			continue // it holds nothing yet
		}
		if name == "RECEIPTS" && m.Subject != "receipts.v1."+names[at] {
			continue
		}
		_, err = l.dbs[at].Owner.Exec(ctx, `INSERT INTO mailbox_outbox (message_id, subject, payload) VALUES ($1, $2, $3)
			ON CONFLICT (message_id) DO NOTHING`, m.Header.Get("Nats-Msg-Id"), m.Subject, m.Data)
		if err != nil {
			return err
		}
	}
	return nil
}

// rest lets everything come to its end: held requests commit, kept calls arrive,
// outboxes are published, every message is handled.
func (l *life) rest() error {
	if err := l.letAll(); err != nil {
		return err
	}
	for _, c := range l.gate.callsOf(l.people[0].id, l.people[1].id) {
		l.arrive(c)
	}
	if err := errors.Join(l.release(orders), l.release(billing)); err != nil {
		return err
	}
	err := l.until("the outboxes", l.published)
	for _, c := range durables() {
		err = errors.Join(err, l.until(c.Durable, func() bool { return l.done(c) }))
	}
	return err
}

// published wakes the publishers and reports that the outboxes are empty.
func (l *life) published() bool {
	for at := range names {
		var n int
		err := l.dbs[at].Owner.QueryRow(context.Background(), `SELECT count(*) FROM mailbox_outbox`).Scan(&n)
		if err != nil {
			return false
		}
		if n > 0 {
			l.wake(at)
			return false
		}
	}
	return true
}

func (s *system) wake(at int) {
	if at == orders {
		_, _ = s.orders.Cancel(context.Background(), s.waker.token, s.wakeOrder, 0) // the database may be away
		return
	}
	_, _ = s.billing.Pay(context.Background(), s.waker.token, s.wakeKey, s.wakeInvoice, basket.Items[0].UnitPriceMinor, 0)
}

func (s *system) makeWaker() {
	s.t.Helper()
	ctx := s.t.Context()
	s.waker, s.wakeKey = s.newPerson(), uuid.NewString()
	s.gate.set(s.waker.id, true)
	paid, err := s.orders.Place(ctx, s.waker.token, uuid.NewString(), basket)
	require.NoError(s.t, err)
	require.NotNil(s.t, paid.InvoiceID)
	s.wakeInvoice = *paid.InvoiceID
	_, err = s.billing.Pay(ctx, s.waker.token, s.wakeKey, s.wakeInvoice, paid.TotalMinor, 0)
	require.NoError(s.t, err)
	canceled, err := s.orders.Place(ctx, s.waker.token, uuid.NewString(), basket)
	require.NoError(s.t, err)
	s.wakeOrder = canceled.ID
	_, err = s.orders.Cancel(ctx, s.waker.token, s.wakeOrder, 0)
	require.NoError(s.t, err)
}
