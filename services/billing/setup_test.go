package billing_test

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
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/billing/internal/store"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const statementsNever = 24 * time.Hour

// world is billing, running, with everything around it real.
type world struct {
	*meshtest.Mesh
	t       *testing.T
	db      *identitytest.Database
	config  billing.Config
	service *meshtest.Service
	checker *checker
	http    *http.Client
	client  *api.Client
}

func start(t *testing.T, change ...func(*billing.Config)) *world {
	t.Helper()
	w := &world{Mesh: meshtest.New(t), t: t, checker: newChecker(t)}
	backends, db := w.Backends(billing.Name, store.Migrations()...)
	w.db = db
	w.config = billing.Config{
		Backends: backends, RefundDecider: billing.DeciderIDP, CheckPermissionURL: w.checker.server.URL,
		RefundLimitMinor: 5000, StatementsInterval: statementsNever,
	}
	for _, f := range change {
		f(&w.config)
	}
	w.service = w.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := w.config
		cfg.Common = common
		return billing.Run(ctx, cfg, log)
	})
	w.http = openapitest.Load(t, "openapi.yaml").Client(t)
	var err error
	w.client, err = api.NewClient(w.service.URL, w.http)
	require.NoError(t, err)
	return w
}

var customer = map[string][]string{"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"}}

// user signs a customer's token as the identity provider would.
func (w *world) user(sub string, options ...authntest.TokenOption) string {
	return w.IdP.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing", "console"), authntest.Tenant("acme"), authntest.Claim("kind", nil),
		authntest.Permissions(customer), authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}),
	}, options...)...)
}

func (w *world) staff(sub string) string {
	return w.user(sub, authntest.Permissions(map[string][]string{"client_shop:invoice": {"read", "pay", "refund", "refund_any"}}))
}

// delegated signs what token-exchange gives orders on behalf of a user.
func (w *world) delegated(sub string, options ...authntest.TokenOption) string {
	return w.Exchange.Issuer().UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("billing"), authntest.Tenant("acme"), authntest.Scope(api.ScopeCreateInvoices), authntest.ActedBy("orders"),
	}, options...)...)
}

func (w *world) serviceToken(client, scope string) string {
	return w.Exchange.Issuer().ServiceToken(client, authntest.Audience("billing"), authntest.Scope(scope))
}

func (w *world) invoice(sub string, amount int64) api.Invoice {
	w.t.Helper()
	inv, err := w.client.Create(w.t.Context(), w.delegated(sub), api.NewInvoice{OrderID: newID(w.t), Currency: "EUR", AmountMinor: amount})
	require.NoError(w.t, err)
	return inv
}

func (w *world) paid(sub string, amount int64) api.Invoice {
	w.t.Helper()
	inv := w.invoice(sub, amount)
	inv, err := w.client.Pay(w.t.Context(), w.user(sub), uuid.NewString(), inv.ID, amount, 0)
	require.NoError(w.t, err)
	return inv
}

func refusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status, refused.Code)
	require.Equal(t, code, refused.Code)
}

func newID(t testing.TB) uuid.UUID {
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

// checker is the identity provider's check-permission, with the demo's policy.
type checker struct {
	server *httptest.Server
	down   atomic.Bool
	mu     sync.Mutex
	asked  []question
}

type question struct {
	EntityType string `json:"entityType"`
	EntityID   string `json:"entityId"`
	Permission string `json:"permission"`
	Resource   struct {
		Attributes map[string]any `json:"attributes"`
	} `json:"resource"`
}

func newChecker(t *testing.T) *checker {
	c := &checker{}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q question
	if c.down.Load() || json.NewDecoder(r.Body).Decode(&q) != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.mu.Lock()
	c.asked = append(c.asked, q)
	c.mu.Unlock()
	amount, _ := q.Resource.Attributes["amount"].(float64)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"allowed": amount <= 5000, "entityType": q.EntityType, "entityId": q.EntityID, "permission": q.Permission,
	})
}

func (c *checker) questions() []question {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]question(nil), c.asked...)
}

const (
	within = meshtest.Within
	every  = meshtest.Every
)
