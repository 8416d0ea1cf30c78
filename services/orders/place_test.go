package orders_test

import (
	"math"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/orders/api"
)

func TestPlace_IsInvoicedOnBehalfOfTheCustomer(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	require.Equal(t, api.StatusPlaced, o.Status)
	require.EqualValues(t, 799, o.TotalMinor)
	require.Equal(t, tea.Items, o.Items)
	inv, known := w.billing.invoice(o.ID)
	require.True(t, known)
	require.Equal(t, inv.ID, *o.InvoiceID)
	require.EqualValues(t, 799, inv.AmountMinor)
	require.Equal(t, []call{{kind: authn.KindUser, userID: "alice", tenant: "acme", actor: "orders"}}, w.billing.seen())

	read, err := w.client.Order(t.Context(), w.user("alice"), o.ID)
	require.NoError(t, err)
	require.Equal(t, o, read)
}

func TestPlace_RepeatedCallIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	first, err := w.client.Place(ctx, w.user("alice"), "k", tea)
	require.NoError(t, err)
	again, err := w.client.Place(ctx, w.user("alice"), "k", tea)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Len(t, w.billing.seen(), 1)

	other := tea
	other.Items = tea.Items[:1]
	_, err = w.client.Place(ctx, w.user("alice"), "k", other)
	refusal(t, err, 422, "idempotency-key-reused")
	bobs, err := w.client.Place(ctx, w.user("bob"), "k", tea)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, bobs.ID)
}

func TestPlace_ManyAtOnceUnderOneKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	var wg sync.WaitGroup
	ids := make([]uuid.UUID, 6)
	for n := range ids {
		wg.Go(func() {
			o, err := w.client.Place(t.Context(), w.user("alice"), "k", tea)
			if err != nil {
				t.Error(err)
			}
			ids[n] = o.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func TestPlace_Refuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	one := func(quantity, price int64) api.NewOrder {
		return api.NewOrder{Currency: "EUR", Items: []api.Item{{SKU: "tea", Quantity: quantity, UnitPriceMinor: price}}}
	}
	for name, tc := range map[string]struct {
		key  string
		in   api.NewOrder
		code string
	}{
		"no key":          {"", tea, "idempotency-key-required"},
		"no items":        {"k", api.NewOrder{Currency: "EUR", Items: []api.Item{}}, "invalid-items"},
		"no quantity":     {"k", one(0, 1), "invalid-items"},
		"too many":        {"k", one(1001, 1), "invalid-items"},
		"negative price":  {"k", one(1, -1), "invalid-items"},
		"would overflow":  {"k", one(2, math.MaxInt64), "total-too-large"},
		"no currency":     {"k", api.NewOrder{Items: tea.Items}, "invalid-currency"},
		"too many items":  {"k", api.NewOrder{Currency: "EUR", Items: make([]api.Item, 101)}, "invalid-items"},
		"above the limit": {"k", one(1, 1_000_000_000_001), "total-too-large"},
	} {
		_, err := w.client.Place(t.Context(), w.user("alice"), tc.key, tc.in)
		var refused *api.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, tc.code, refused.Code, name)
	}
	require.Empty(t, w.billing.seen())
}

func TestPlace_StandsWithoutBillingAndIsInvoicedLater(t *testing.T) {
	t.Parallel()
	w := start(t, soon)
	w.billing.down.Store(true)
	o, err := w.client.Place(t.Context(), w.user("alice"), "k", tea)
	require.NoError(t, err)
	require.Nil(t, o.InvoiceID)
	require.Equal(t, api.StatusPlaced, o.Status)

	w.billing.down.Store(false)
	require.Eventually(t, w.invoiced("alice", o.ID), within, every)
	require.Equal(t, []call{{kind: authn.KindService, userID: "alice", tenant: "acme"}}, w.billing.seen())
	again, err := w.client.Place(t.Context(), w.user("alice"), "k", tea)
	require.NoError(t, err)
	require.Equal(t, o, again, "a repeated call is answered as the first one was")
}

func TestPlace_StandsWithoutTokenExchange(t *testing.T) {
	t.Parallel()
	w := start(t, soon)
	w.Exchange.SetDown(true)
	o := w.place("alice")
	require.Nil(t, o.InvoiceID)
	w.Exchange.SetDown(false)
	require.Eventually(t, w.invoiced("alice", o.ID), within, every)
}

// The service ends after the order was committed and before its invoice was
// made; whoever starts next makes it.
func TestPlace_SurvivesARestart(t *testing.T) {
	t.Parallel()
	w := prepare(t)
	w.serve()
	w.billing.down.Store(true)
	o := w.place("alice")
	w.service.Stop()
	w.billing.down.Store(false)
	_, err := w.db.Pool.Exec(t.Context(), `UPDATE orders SET invoice_retry_at = now()`) // time passes
	require.NoError(t, err)
	w.serve()
	require.Eventually(t, w.invoiced("alice", o.ID), within, every)
}

// Billing made the invoice and its answer was lost: the order gets that one.
func TestPlace_LostAnswerMakesNoSecondInvoice(t *testing.T) {
	t.Parallel()
	w := start(t)
	o := w.place("alice")
	_, err := w.db.Pool.Exec(t.Context(), `UPDATE orders SET invoice_id = NULL, invoice_retry_at = now()`)
	require.NoError(t, err)
	require.Eventually(t, w.invoiced("alice", o.ID), within, every)
	again, err := w.client.Order(t.Context(), w.user("alice"), o.ID)
	require.NoError(t, err)
	require.Equal(t, o.InvoiceID, again.InvoiceID)
}
