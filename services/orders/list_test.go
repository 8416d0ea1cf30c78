package orders_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/api"
)

func TestOrders_InPages(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	var want []uuid.UUID
	for range 5 {
		want = append([]uuid.UUID{w.place("alice").ID}, want...)
	}
	w.place("bob")
	var got []uuid.UUID
	cursor := ""
	for {
		page, err := w.client.Orders(ctx, w.user("alice"), 2, cursor)
		require.NoError(t, err)
		for _, o := range page.Orders {
			got = append(got, o.ID)
			require.Len(t, o.Items, 2)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, want, got)
	_, err := w.client.Orders(ctx, w.user("alice"), 101, "")
	refusal(t, err, 400, "invalid-page")
	_, err = w.client.Orders(ctx, w.user("alice"), 1, "x")
	refusal(t, err, 400, "invalid-page")
}

func TestOrdersOf_ShowsTheNameFromTheDirectory(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	names := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() || r.Header.Get("X-Api-Key") != "directory-key" {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		rw.Header().Set("Content-Type", "application/json")
		if strings.Contains(string(body), `"auth0|al/../ice"`) {
			_, _ = rw.Write([]byte(`{"users":[{"id":"auth0|al/../ice","name":"Alice Anders","image":null}]}`))
			return
		}
		_, _ = rw.Write([]byte(`{"users":[]}`))
	}))
	t.Cleanup(names.Close)
	keyFile := filepath.Join(t.TempDir(), "directory.key")
	require.NoError(t, os.WriteFile(keyFile, []byte("directory-key\n"), 0o600))
	w := start(t, func(c *orders.Config) { c.DirectoryURL, c.DirectoryAPIKeyFile = names.URL, keyFile })
	ctx := t.Context()
	alice := "auth0|al/../ice" // a legal ID that no path could hold as it is
	o, bobs := w.place(alice), w.place("bob")
	staff := w.user("staff", may("list_any"))

	page, err := w.client.OrdersOf(ctx, staff, alice, 0, "")
	require.NoError(t, err)
	require.Equal(t, []api.Order{o}, page.Orders)
	require.Equal(t, "Alice Anders", page.Customer.Name)

	down.Store(true)
	page, err = w.client.OrdersOf(ctx, staff, alice, 0, "")
	require.NoError(t, err)
	require.Equal(t, "Alice Anders", page.Customer.Name, "from the cache")
	page, err = w.client.OrdersOf(ctx, staff, "bob", 0, "")
	require.NoError(t, err)
	require.Equal(t, []api.Order{bobs}, page.Orders)
	require.Nil(t, page.Customer, "the page is shown without a name")

	page, err = w.client.OrdersOf(ctx, w.user("eve", may("list_any"), authntest.Tenant("other")), alice, 0, "")
	require.NoError(t, err)
	require.Empty(t, page.Orders, "staff see their own tenant")
	require.Nil(t, page.Customer)
}

func TestOrdersOf_RefusesWhatIsNoUserID(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, id := range []string{"=", "YWxpY2U=", "_", "AA", "a", strings.Repeat("YWFh", 100)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.service.URL+"/v1/users/"+id+"/orders", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.user("staff", may("list_any")))
		resp, err := w.http.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, id)
	}
}

func TestPlace_IsDecodedStrictly(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, tc := range map[string]struct {
		contentType, body string
		status            int
	}{
		"unknown member":      {"application/json", `{"items":[{"sku":"a","quantity":1,"unit_price_minor":1,"x":1}],"currency":"EUR"}`, 400},
		"user_id in the body": {"application/json", `{"items":[],"currency":"EUR","user_id":"bob"}`, 400},
		"twice":               {"application/json", `{"currency":"EUR","currency":"USD","items":[]}`, 400},
		"other spelling":      {"application/json", `{"Items":[],"currency":"EUR"}`, 400},
		"a fraction":          {"application/json", `{"items":[{"sku":"a","quantity":1.5,"unit_price_minor":1}],"currency":"EUR"}`, 400},
		"no JSON":             {"application/json", `hello`, 400},
		"no JSON type":        {"text/plain", `{}`, 415},
		"too large":           {"application/json", `{"items":[` + strings.Repeat(" ", 1<<20) + `]}`, 413},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.service.URL+"/v1/orders", strings.NewReader(tc.body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.user("alice"))
		req.Header.Set("Content-Type", tc.contentType)
		req.Header.Set("Idempotency-Key", "k")
		resp, err := w.http.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, tc.status, resp.StatusCode, name)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), name)
	}
}
