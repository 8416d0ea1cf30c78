package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/console/internal/seal"
	orders "github.com/shadowless/shadowless/services/orders/api"
)

func TestJar_BindsCookiesToTheHostOverTLS(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	jar{secure: true}.set(w, sessionCookie, "value", 0)
	require.Equal(t, "__Host-shadowless_session=value; Path=/; HttpOnly; Secure; SameSite=Lax", w.Header().Get("Set-Cookie"))

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "planted by a neighbor"})
	require.Empty(t, jar{secure: true}.get(r, sessionCookie))
	require.Equal(t, "planted by a neighbor", jar{}.get(r, sessionCookie))

	w = httptest.NewRecorder()
	jar{}.clear(w, sessionCookie)
	require.Contains(t, w.Header().Get("Set-Cookie"), "Max-Age=0")
}

func TestNotice_CannotBePutIntoOurMouth(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(seal.NewKey()), 0o600))
	ring, err := seal.Load(path)
	require.NoError(t, err)
	box, err := ring.For("notices")
	require.NoError(t, err)
	p := New(Config{Notices: box})
	w := httptest.NewRecorder()
	p.leave(w, Notice{"good", "Done."})
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)

	read := func(value string) *Notice {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: noticeCookie, Value: value})
		return p.take(httptest.NewRecorder(), r)
	}
	require.Equal(t, &Notice{"good", "Done."}, read(cookies[0].Value))
	for _, forged := range []string{"", "!", "AAAA", cookies[0].Value[:20], `{"tone":"good","text":"Call us"}`} {
		require.Nil(t, read(forged), forged)
	}
}

func TestClientAddress_BelievesOnlyOurProxies(t *testing.T) {
	t.Parallel()
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.7:1234", nil, "203.0.113.7"},
		{"203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		{"10.0.0.1:1234", nil, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1234", []string{"192.0.2.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:1234", []string{"192.0.2.1", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1234", []string{"nonsense"}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
		require.Equal(t, c.want, clientAddress(r, ours).String(), "%+v", c)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	r.RemoteAddr = "pipe"
	require.False(t, clientAddress(r, ours).IsValid())
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		minor    int64
		currency string
	}{
		"€\u00a00.05": {5, "EUR"}, "€\u00a0349.00": {34900, "EUR"}, "−$\u00a01.00": {-100, "USD"},
		"¥\u00a01200": {1200, "JPY"}, "1.500\u00a0KWD": {1500, "KWD"}, "−92233720368547758.08\u00a0CHF": {-1 << 63, "CHF"},
	} {
		require.Equal(t, want, money(c.minor, c.currency))
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"less than a second": -time.Second, "1 second": 1200 * time.Millisecond, "89 seconds": 89 * time.Second,
		"15 minutes": 15 * time.Minute, "2 hours": 2 * time.Hour, "3 days": 72 * time.Hour,
	} {
		require.Equal(t, want, span(d))
	}
}

func TestRowOf_OffersWhatTheStatusAllows(t *testing.T) {
	t.Parallel()
	invoice := uuid.New()
	labels := func(o orders.Order) (out []string) {
		for _, a := range rowOf(o).Actions {
			out = append(out, a.Label)
		}
		return out
	}
	require.Equal(t, []string{"Pay", "Cancel"}, labels(orders.Order{Status: orders.StatusPlaced, InvoiceID: &invoice}))
	require.Equal(t, []string{"Cancel"}, labels(orders.Order{Status: orders.StatusPlaced}))
	require.NotEmpty(t, rowOf(orders.Order{Status: orders.StatusPlaced}).Waiting)
	require.Equal(t, []string{"Refund"}, labels(orders.Order{Status: orders.StatusPaid, InvoiceID: &invoice}))
	require.Empty(t, labels(orders.Order{Status: orders.StatusCanceled}))
	require.Empty(t, labels(orders.Order{Status: orders.StatusRefunded}))
}
