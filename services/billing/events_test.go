package billing_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

func canceled(t *testing.T, orderID uuid.UUID) mailbox.Message {
	t.Helper()
	m, err := event.Message("orders", ordersapi.EventOrderCanceled, time.Now(), ordersapi.OrderCanceled{OrderID: orderID, Version: 2})
	require.NoError(t, err)
	return m
}

func (w *world) published(eventType string) event.Event[api.InvoiceEvent] {
	w.t.Helper()
	raw := w.Messages(streams.Billing, eventType, 1)[0]
	require.NotContains(w.t, string(raw.Data()), "alice", "events name no user")
	var e event.Event[api.InvoiceEvent]
	require.NoError(w.t, json.Unmarshal(raw.Data(), &e))
	require.Equal(w.t, eventType, e.Type)
	return e
}

func (w *world) status(id uuid.UUID) func() bool {
	return func() bool {
		inv, err := w.client.Invoice(w.t.Context(), w.user("alice"), id)
		return err == nil && inv.Status != api.StatusOpen && inv.Status != api.StatusPaid
	}
}

func TestEvents_TellOfPaymentAndRefund(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.paid("alice", 1000)
	e := w.published(api.EventInvoicePaid)
	require.Equal(t, api.InvoiceEvent{
		InvoiceID: inv.ID, OrderID: inv.OrderID, Status: api.StatusPaid, Currency: "EUR", AmountMinor: 1000, Version: inv.Version,
	}, e.Data)
	refunded, err := w.client.Refund(t.Context(), w.user("alice"), "k", inv.ID, 1000, 0)
	require.NoError(t, err)
	e = w.published(api.EventInvoiceRefunded)
	require.Equal(t, api.StatusRefunded, e.Data.Status)
	require.EqualValues(t, 1000, e.Data.RefundedMinor)
	require.Equal(t, refunded.Version, e.Data.Version)
}

func TestOrderCanceled_VoidsTheInvoiceOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.invoice("alice", 1000)
	message := canceled(t, inv.OrderID)
	w.Publish(message)
	require.Eventually(t, w.status(inv.ID), within, every)
	w.Redeliver(message)
	w.Publish(canceled(t, inv.OrderID)) // the same fact under another ID
	w.Acknowledged(streams.Orders, "billing-orders")
	voided, err := w.client.Invoice(t.Context(), w.user("alice"), inv.ID)
	require.NoError(t, err)
	require.Equal(t, api.StatusVoid, voided.Status)
	require.Equal(t, inv.Version+1, voided.Version)
	require.Equal(t, api.StatusVoid, w.published(api.EventInvoiceVoided).Data.Status)
	_, err = w.client.Pay(t.Context(), w.user("alice"), "k", inv.ID, 1000, 0)
	refusal(t, err, 409, "invoice-not-open")
}

func TestOrderCanceled_BeforeTheInvoiceExists(t *testing.T) {
	t.Parallel()
	w := start(t)
	orderID := newID(t)
	w.Publish(canceled(t, orderID))
	w.Acknowledged(streams.Orders, "billing-orders")
	inv, err := w.client.Create(t.Context(), w.delegated("alice"), api.NewInvoice{OrderID: orderID, Currency: "EUR", AmountMinor: 5})
	require.NoError(t, err)
	require.Equal(t, api.StatusVoid, inv.Status)
}

func TestOrderCanceled_AfterThePaymentGivesTheMoneyBack(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.paid("alice", 1000)
	w.Publish(canceled(t, inv.OrderID))
	require.Eventually(t, w.status(inv.ID), within, every)
	refunded, err := w.client.Invoice(t.Context(), w.user("alice"), inv.ID)
	require.NoError(t, err)
	require.Equal(t, api.StatusRefunded, refunded.Status)
}

func TestOrderEvents_PoisonIsSetAside(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.invoice("alice", 1000)
	w.Publish(
		mailbox.Message{ID: "1", Subject: ordersapi.EventOrderCanceled, Payload: []byte("no JSON")},
		mailbox.Message{ID: "2", Subject: ordersapi.EventOrderCanceled, Payload: []byte(`{"specversion":"1.0","id":"2","type":"` + ordersapi.EventOrderCanceled + `","data":{}}`)},
		mailbox.Message{ID: "3", Subject: "orders.v1.order.praised", Payload: []byte(`{}`)},
		canceled(t, inv.OrderID),
	)
	require.Eventually(t, w.status(inv.ID), within, every, "what comes behind poison is applied")
	require.Len(t, w.Messages(streams.DeadLetters, "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", 2), 2)
}

func TestEvents_SurviveNATSBeingDown(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.invoice("alice", 1000)
	w.Broker.Stop()
	_, err := w.client.Pay(t.Context(), w.user("alice"), "k", inv.ID, 1000, 0)
	require.NoError(t, err, "the outbox keeps what must go out")
	w.Broker.Start()
	require.Equal(t, inv.ID, w.published(api.EventInvoicePaid).Data.InvoiceID)
}

func TestErasure_KeepsInvoicesByLawAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	inv := w.paid("alice", 1000)
	bobs := w.paid("bob", 500)
	receipt := w.Erase("alice", billing.Name)
	dispositions := map[string]string{}
	for _, c := range receipt.Columns {
		dispositions[c.Table+"."+c.Column] = string(c.Disposition)
		if c.Table == "invoices" {
			require.EqualValues(t, 1, c.Remaining)
			require.NotEmpty(t, c.LegalReason)
			require.Equal(t, inv.CreatedAt.AddDate(10, 0, 0).Year(), c.RetainedUntil.Year())
		} else {
			require.Zero(t, c.Remaining)
		}
	}
	require.Equal(t, map[string]string{"idempotency_keys.user_id": "erase", "statements.user_id": "erase", "invoices.user_id": "retain"}, dispositions)

	_, err := w.client.Create(ctx, w.delegated("alice"), api.NewInvoice{OrderID: newID(t), Currency: "EUR", AmountMinor: 1})
	refusal(t, err, 403, api.CodeUserErased)
	_, err = w.client.Refund(ctx, w.user("alice"), "late", inv.ID, 1, 0)
	refusal(t, err, 403, api.CodeUserErased)
	_, err = w.client.Refund(ctx, w.user("bob"), "k", bobs.ID, 1, 0)
	require.NoError(t, err)
}

func TestStatements_RunByTheClock(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *billing.Config) { c.StatementsInterval = 50 * time.Millisecond })
	w.paid("alice", 1000)
	require.Eventually(t, func() bool {
		var n int
		err := w.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM statements WHERE user_id = 'alice' AND paid_minor = 1000`).Scan(&n)
		return err == nil && n == 1
	}, within, every)
}
