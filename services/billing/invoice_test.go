package billing_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/billing/api"
)

func TestCreate_IsRepeatable(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	in := api.NewInvoice{OrderID: newID(t), Currency: "EUR", AmountMinor: 1000}
	first, err := w.client.Create(ctx, w.delegated("alice"), in)
	require.NoError(t, err)
	require.Equal(t, api.StatusOpen, first.Status)
	again, err := w.client.Create(ctx, w.delegated("alice"), in)
	require.NoError(t, err)
	require.Equal(t, first, again)

	other := in
	other.AmountMinor++
	_, err = w.client.Create(ctx, w.delegated("alice"), other)
	refusal(t, err, 409, api.CodeInvoiceDiffers)
	_, err = w.client.Create(ctx, w.delegated("bob"), in)
	refusal(t, err, 409, api.CodeInvoiceDiffers)

	// The service itself may know the customer under a pseudonym by now.
	in.UserID, in.TenantID = "erased:6e2e5a0e", "acme"
	again, err = w.client.Create(ctx, w.serviceToken("orders", api.ScopeCreateInvoices), in)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

func TestCreate_RefusesWhatIsNoInvoice(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, in := range map[string]api.NewInvoice{
		"no order":        {Currency: "EUR", AmountMinor: 1},
		"no amount":       {OrderID: newID(t), Currency: "EUR"},
		"negative":        {OrderID: newID(t), Currency: "EUR", AmountMinor: -1},
		"above the limit": {OrderID: newID(t), Currency: "EUR", AmountMinor: 1_000_000_000_001},
		"no currency":     {OrderID: newID(t), AmountMinor: 1},
		"odd currency":    {OrderID: newID(t), Currency: "eur", AmountMinor: 1},
	} {
		_, err := w.client.Create(t.Context(), w.delegated("alice"), in)
		var refused *api.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, 422, refused.Status, name)
	}
}

func TestPay_OnceAndExactly(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	inv := w.invoice("alice", 1000)
	_, err := w.client.Pay(ctx, w.user("alice"), "", inv.ID, 1000, 0)
	refusal(t, err, 400, "idempotency-key-required")
	_, err = w.client.Pay(ctx, w.user("alice"), "k", inv.ID, 999, 0)
	refusal(t, err, 422, "wrong-amount")
	_, err = w.client.Pay(ctx, w.user("alice"), "k", inv.ID, 1000, inv.Version+1)
	refusal(t, err, 412, "version-changed")
	paid, err := w.client.Pay(ctx, w.user("alice"), "k", inv.ID, 1000, inv.Version)
	require.NoError(t, err)
	require.Equal(t, api.StatusPaid, paid.Status)
	require.Equal(t, inv.Version+1, paid.Version)

	again, err := w.client.Pay(ctx, w.user("alice"), "k", inv.ID, 1000, inv.Version)
	require.NoError(t, err)
	require.Equal(t, paid, again)
	_, err = w.client.Pay(ctx, w.user("alice"), "k", inv.ID, 1, 0)
	refusal(t, err, 422, "idempotency-key-reused")
	_, err = w.client.Pay(ctx, w.user("alice"), "other", inv.ID, 1000, 0)
	refusal(t, err, 409, "invoice-not-open")
}

func TestPay_OneKeyOfTwoUsersIsTwoKeys(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, user := range []string{"alice", "bob"} {
		inv := w.invoice(user, 1000)
		_, err := w.client.Pay(t.Context(), w.user(user), "same", inv.ID, 1000, 0)
		require.NoError(t, err)
	}
}

func TestInvoices_InPages(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	var want []uuid.UUID
	for range 5 {
		want = append([]uuid.UUID{w.invoice("alice", 1).ID}, want...)
	}
	w.invoice("bob", 1)
	var got []uuid.UUID
	cursor := ""
	for {
		page, err := w.client.Invoices(ctx, w.user("alice"), 2, cursor)
		require.NoError(t, err)
		for _, inv := range page.Invoices {
			got = append(got, inv.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, want, got)
	_, err := w.client.Invoices(ctx, w.user("alice"), 101, "")
	refusal(t, err, 400, "invalid-page")
	_, err = w.client.Invoices(ctx, w.user("alice"), 1, "x")
	refusal(t, err, 400, "invalid-page")
}

func TestRequests_AreDecodedStrictly(t *testing.T) {
	t.Parallel()
	w := start(t)
	inv := w.invoice("alice", 1000)
	for name, tc := range map[string]struct {
		contentType, body, ifMatch string
		status                     int
	}{
		"unknown member":  {"application/json", `{"amount_minor":1000,"x":1}`, "", 400},
		"twice":           {"application/json", `{"amount_minor":1000,"amount_minor":1000}`, "", 400},
		"other spelling":  {"application/json", `{"Amount_Minor":1000}`, "", 400},
		"a fraction":      {"application/json", `{"amount_minor":1000.5}`, "", 400},
		"a string":        {"application/json", `{"amount_minor":"1000"}`, "", 400},
		"beyond int64":    {"application/json", `{"amount_minor":9223372036854775808}`, "", 400},
		"something after": {"application/json", `{"amount_minor":1000}{}`, "", 400},
		"nothing":         {"application/json", ``, "", 400},
		"no JSON type":    {"text/plain", `{"amount_minor":1000}`, "", 415},
		"too large":       {"application/json", `{"amount_minor":` + strings.Repeat(" ", 1<<20) + `1000}`, "", 413},
		"odd If-Match":    {"application/json", `{"amount_minor":1000}`, "1", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.service.URL+"/v1/invoices/"+inv.ID.String()+"/payments", strings.NewReader(tc.body))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+w.user("alice"))
			req.Header.Set("Content-Type", tc.contentType)
			req.Header.Set("Idempotency-Key", "k")
			if tc.ifMatch != "" {
				req.Header.Set("If-Match", tc.ifMatch)
			}
			resp, err := w.http.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tc.status, resp.StatusCode, "%s", body)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		})
	}
}
