package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestOrders_PlacePayRefundCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	p := b.signIn()
	require.Contains(t, p.body, "Nothing yet")

	p = b.place(p, "coffee-beans", "2")
	require.Contains(t, p.body, "Your order is placed.")
	require.Contains(t, p.body, "2 × Coffee beans")
	require.Contains(t, p.body, "€\u00a029.00")
	path, form := p.action(t, "pay")
	p = b.post(path, form)
	require.Contains(t, p.body, "Paid. The order follows")
	path, form = p.action(t, "refund")
	p = b.post(path, form)
	require.Contains(t, p.body, "Refunded. The order follows")

	p = b.place(p, "standing-desk", "1")
	path, form = p.action(t, "pay")
	p = b.post(path, form)
	path, form = p.action(t, "refund")
	p = b.post(path, form)
	require.Contains(t, p.body, "Nothing was refunded. This amount is too large for you to refund.", "billing's own sentence")

	p = b.place(p, "desk-lamp", "1")
	path, form = p.action(t, "cancel")
	p = b.post(path, form)
	require.Contains(t, p.body, "The order is canceled.")
	require.Equal(t, 3, w.shop.count(w.idp.user))
}

func TestOrders_AFormThatIsSentTwiceActsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	p := b.signIn()
	b.place(p, "desk-lamp", "1")
	b.place(p, "desk-lamp", "1")
	require.Equal(t, 1, w.shop.count(w.idp.user))
}

func TestOrders_RefusedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	key, id := uuid.NewString(), uuid.NewString()
	for _, c := range []struct {
		path     string
		form     url.Values
		sentence string
	}{
		{"/orders", url.Values{"key": {key}, "sku": {"yacht"}, "quantity": {"1"}}, "no such product"},
		{"/orders", url.Values{"key": {key}, "sku": {"desk-lamp"}, "quantity": {"0"}}, "no such product"},
		{"/orders", url.Values{"key": {key}, "sku": {"desk-lamp"}, "quantity": {"many"}}, "no such product"},
		{"/orders", url.Values{"sku": {"desk-lamp"}, "quantity": {"1"}}, "That form cannot be used"},
		{"/orders/x/pay", url.Values{"key": {key}}, "That form cannot be used"},
		{"/orders/" + id + "/pay", url.Values{"key": {key}}, "Nothing was paid. There is no such order."},
		{"/orders/" + id + "/cancel", url.Values{"key": {key}}, "There is no such order."},
	} {
		p := b.post(c.path, c.form)
		require.Equal(t, "/", p.at.Path)
		require.Contains(t, p.body, c.sentence, c.path)
	}
	form := url.Values{"key": {key}, "sku": {"desk-lamp"}, "quantity": {"1"}}
	require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/orders", form, "Sec-Fetch-Site", "cross-site").status)
	require.Contains(t, w.browser().post("/orders", form).body, "Please sign in first.")
	require.Zero(t, w.shop.count(w.idp.user))
}

func TestOrders_PageStandsWithoutThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	p := b.signIn()
	w.shop.setDown(true)
	require.Contains(t, b.get("/").body, "Your orders cannot be shown: A service does not answer right now.")
	require.Contains(t, b.place(p, "desk-lamp", "1").body, "Trying again is safe.")
	w.shop.setDown(false)
	require.Contains(t, b.place(p, "desk-lamp", "1").body, "Your order is placed.")
}
