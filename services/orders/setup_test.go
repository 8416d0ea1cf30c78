package orders_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	billing "github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/api"
	"github.com/shadowless/shadowless/services/orders/internal/store"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = meshtest.Within
	every  = meshtest.Every
)

// world is orders, running, with everything around it real but billing.
type world struct {
	*meshtest.Mesh
	t       *testing.T
	db      *identitytest.Database
	config  orders.Config
	billing *cashier
	service *meshtest.Service
	http    *http.Client
	client  *api.Client
}

// soon has the worker try while the test waits; without it, only the request does.
func soon(c *orders.Config) { c.InvoiceRetryAfter = 50 * time.Millisecond }

func prepare(t *testing.T, change ...func(*orders.Config)) *world {
	t.Helper()
	w := &world{Mesh: meshtest.New(t), t: t}
	w.billing = newCashier(t, w.Exchange.Issuer().Verifier(t, billing.Audience))
	backends, db := w.Backends(orders.Name, store.Migrations()...)
	w.db = db
	w.config = orders.Config{
		Backends: backends, BillingURL: w.billing.server.URL,
		InvoiceRetryAfter: within, InvoiceRetryInterval: 50 * time.Millisecond,
	}
	for _, f := range change {
		f(&w.config)
	}
	w.http = openapitest.Load(t, "openapi.yaml").Client(t)
	return w
}

func start(t *testing.T, change ...func(*orders.Config)) *world {
	t.Helper()
	w := prepare(t, change...)
	w.serve()
	return w
}

// serve starts the service, again if it was stopped.
func (w *world) serve() {
	w.t.Helper()
	w.service = w.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := w.config
		cfg.Common = common
		return orders.Run(ctx, cfg, log)
	})
	var err error
	w.client, err = api.NewClient(w.service.URL, w.http)
	require.NoError(w.t, err)
}

func (w *world) user(sub string, options ...authntest.TokenOption) string {
	return w.IdP.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing", "console"), authntest.Tenant("acme"), authntest.Claim("kind", nil),
		authntest.Permissions(map[string][]string{
			"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"},
		}),
	}, options...)...)
}

func may(permissions ...string) authntest.TokenOption {
	return authntest.Permissions(map[string][]string{"client_shop:order": permissions})
}

func (w *world) serviceToken(client, scope string) string {
	return w.Exchange.Issuer().ServiceToken(client, authntest.Audience("orders"), authntest.Scope(scope))
}

var tea = api.NewOrder{Currency: "EUR", Items: []api.Item{{SKU: "tea", Quantity: 2, UnitPriceMinor: 350}, {SKU: "cup", Quantity: 1, UnitPriceMinor: 99}}}

func (w *world) place(sub string) api.Order {
	w.t.Helper()
	o, err := w.client.Place(w.t.Context(), w.user(sub), uuid.NewString(), tea)
	require.NoError(w.t, err)
	return o
}

func (w *world) invoiced(sub string, id uuid.UUID) func() bool {
	return func() bool {
		o, err := w.client.Order(w.t.Context(), w.user(sub), id)
		return err == nil && o.InvoiceID != nil
	}
}

func refusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status, refused.Code)
	require.Equal(t, code, refused.Code)
}

// cashier is billing as far as orders can see: one invoice an order, for calls
// whose token says what billing's access table wants.
type cashier struct {
	server   *httptest.Server
	verifier *authn.Verifier
	down     atomic.Bool

	mu       sync.Mutex
	invoices map[uuid.UUID]billing.Invoice
	calls    []call
}

// call is what billing learned of one.
type call struct {
	kind   authn.Kind
	userID string
	tenant string
	actor  string
}

func newCashier(t *testing.T, v *authn.Verifier) *cashier {
	c := &cashier{verifier: v, invoices: map[uuid.UUID]billing.Invoice{}}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *cashier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p, err := c.verifier.Authenticate(r)
	var in billing.NewInvoice
	if err != nil || !p.HasScope(billing.ScopeCreateInvoices) || json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	this := call{kind: p.Kind(), userID: p.UserID(), tenant: p.TenantID()}
	if p.Actor() != nil {
		this.actor = p.Actor().ClientID()
	}
	if p.Kind() == authn.KindService {
		this.userID, this.tenant = in.UserID, in.TenantID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, this)
	inv, known := c.invoices[in.OrderID]
	if !known {
		inv = billing.Invoice{ID: uuid.New(), OrderID: in.OrderID, Status: billing.StatusOpen, Currency: in.Currency, AmountMinor: in.AmountMinor, Version: 1, CreatedAt: time.Now()}
		c.invoices[in.OrderID] = inv
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(inv)
}

func (c *cashier) seen() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]call(nil), c.calls...)
}

func (c *cashier) invoice(orderID uuid.UUID) (billing.Invoice, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	inv, known := c.invoices[orderID]
	return inv, known
}
