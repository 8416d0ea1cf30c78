package orders_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	billing "github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/api"
)

func (w *world) tell(eventType string, o api.Order, version int64) mailbox.Message {
	w.t.Helper()
	inv, known := w.billing.invoice(o.ID)
	require.True(w.t, known)
	status := map[string]string{billing.EventInvoicePaid: billing.StatusPaid, billing.EventInvoiceRefunded: billing.StatusRefunded, billing.EventInvoiceVoided: billing.StatusVoid}[eventType]
	m, err := event.Message("billing", eventType, time.Now(), billing.InvoiceEvent{
		InvoiceID: inv.ID, OrderID: o.ID, Status: status, Currency: inv.Currency, AmountMinor: inv.AmountMinor, Version: version,
	})
	require.NoError(w.t, err)
	w.Publish(m)
	return m
}

func (w *world) becomes(sub string, id uuid.UUID, status string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		o, err := w.client.Order(w.t.Context(), w.user(sub), id)
		return err == nil && o.Status == status
	}, within, every, "order did not become %s", status)
}

func TestCancel_TellsOthersOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	_, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, o.Version+1)
	refusal(t, err, 412, "version-changed")
	canceled, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, o.Version)
	require.NoError(t, err)
	require.Equal(t, api.StatusCanceled, canceled.Status)
	again, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, 0)
	require.NoError(t, err)
	require.Equal(t, canceled, again)

	raw := w.Messages(streams.Orders, api.EventOrderCanceled, 1)[0]
	require.NotContains(t, string(raw.Data()), "alice", "events name no user")
	var e event.Event[api.OrderCanceled]
	require.NoError(t, json.Unmarshal(raw.Data(), &e))
	require.Equal(t, api.OrderCanceled{OrderID: o.ID, Version: canceled.Version}, e.Data)
	s, err := w.Broker.JetStream.Stream(t.Context(), streams.Orders)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.CachedInfo().State.Msgs)
}

func TestBillingEvents_ChangeTheOrder(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	w.tell(billing.EventInvoicePaid, o, 2)
	w.becomes("alice", o.ID, api.StatusPaid)
	_, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, 0)
	refusal(t, err, 409, "order-not-cancelable")
	w.tell(billing.EventInvoiceRefunded, o, 3)
	w.becomes("alice", o.ID, api.StatusRefunded)
}

func TestBillingEvents_ApplyOnceAndNewestWins(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	w.tell(billing.EventInvoiceRefunded, o, 3)
	w.becomes("alice", o.ID, api.StatusRefunded)
	late := w.tell(billing.EventInvoicePaid, o, 2) // overtaken
	w.Redeliver(late)
	w.Acknowledged(streams.Billing, "orders-billing")
	after, err := w.client.Order(t.Context(), w.user("alice"), o.ID)
	require.NoError(t, err)
	require.Equal(t, api.StatusRefunded, after.Status)
	require.Equal(t, o.Version+1, after.Version)
}

func TestBillingEvents_CanceledStaysCanceled(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	_, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, 0)
	require.NoError(t, err)
	w.tell(billing.EventInvoicePaid, o, 2)
	w.tell(billing.EventInvoiceRefunded, o, 3)
	w.Acknowledged(streams.Billing, "orders-billing")
	after, err := w.client.Order(t.Context(), w.user("alice"), o.ID)
	require.NoError(t, err)
	require.Equal(t, api.StatusCanceled, after.Status)
}

func TestBillingEvents_PoisonIsSetAside(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	unknown, err := event.Message("billing", billing.EventInvoicePaid, time.Now(), billing.InvoiceEvent{InvoiceID: uuid.New(), OrderID: uuid.New(), Status: "paid", Version: 2})
	require.NoError(t, err)
	w.Publish(mailbox.Message{ID: "1", Subject: billing.EventInvoicePaid, Payload: []byte("{")}, unknown)
	w.tell(billing.EventInvoicePaid, o, 2)
	w.becomes("alice", o.ID, api.StatusPaid)
	require.Len(t, w.Messages(streams.DeadLetters, "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", 2), 2)
}

// Billing's event arrives while orders is away, as after a crash.
func TestBillingEvents_WaitForARestart(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	w.service.Stop()
	w.tell(billing.EventInvoicePaid, o, 2)
	w.serve()
	w.becomes("alice", o.ID, api.StatusPaid)
}

func TestErasure_TakesTheNameOffAndRefusesWhatIsLate(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	o := w.place("alice")
	w.place("bob")
	receipt := w.Erase("alice", orders.Name)
	dispositions := map[string]string{}
	for _, c := range receipt.Columns {
		dispositions[c.Table+"."+c.Column] = string(c.Disposition)
		require.EqualValues(t, 1, c.Rows)
		require.Zero(t, c.Remaining)
	}
	require.Equal(t, map[string]string{"idempotency_keys.user_id": "erase", "orders.user_id": "pseudonymise"}, dispositions)

	// A token may live on for minutes.
	_, err := w.client.Place(ctx, w.user("alice"), "late", tea)
	refusal(t, err, 403, "user-erased")
	_, err = w.client.Cancel(ctx, w.user("alice"), o.ID, 0)
	refusal(t, err, 403, "user-erased")
	_, err = w.client.Order(ctx, w.user("alice"), o.ID)
	refusal(t, err, 404, "order-not-found")
	// Billing's late event still reaches the order, which is nobody's now.
	w.tell(billing.EventInvoicePaid, o, 2)
	w.Acknowledged(streams.Billing, "orders-billing")
	var n int
	require.NoError(t, w.db.Pool.QueryRow(ctx, `SELECT count(*) FROM orders WHERE id = $1 AND status = 'paid' AND user_id LIKE 'erased:%'`, o.ID).Scan(&n))
	require.Equal(t, 1, n)
	_, err = w.client.Place(ctx, w.user("bob"), "k", tea)
	require.NoError(t, err)
}

// An erased customer's order without an invoice is invoiced under the pseudonym.
func TestErasure_OfAnOrderThatWaitsForItsInvoice(t *testing.T) {
	t.Parallel()
	w := start(t, soon)
	w.billing.down.Store(true)
	o := w.place("alice")
	w.Erase("alice", orders.Name)
	w.billing.down.Store(false)
	require.Eventually(t, func() bool { _, known := w.billing.invoice(o.ID); return known }, within, every)
	require.Contains(t, w.billing.seen()[0].userID, "erased:")
}

func TestOrders_GoOnWhileNATSIsDown(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.Broker.Stop()
	o := w.place("alice")
	_, err := w.client.Cancel(t.Context(), w.user("alice"), o.ID, 0)
	require.NoError(t, err, "the outbox keeps what must go out")
	w.Broker.Start()
	require.Len(t, w.Messages(streams.Orders, api.EventOrderCanceled, 1), 1)
}
