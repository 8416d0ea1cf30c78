package compare_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/billing"
	billingstore "github.com/shadowless/shadowless/compare/billing/store"
	"github.com/shadowless/shadowless/compare/orders"
	ordersstore "github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	realbilling "github.com/shadowless/shadowless/services/billing"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	realorders "github.com/shadowless/shadowless/services/orders"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = meshtest.Within
	every  = meshtest.Every

	refundLimit  = 5000
	billingNever = 24 * time.Hour
)

// system is one archetype, running, with everything around it real.
type system struct {
	*meshtest.Mesh
	t                 *testing.T
	idp               *provider
	orders            *ordersapi.Client
	billing           *billingapi.Client
	ordersAt, billsAt *meshtest.Service
	ordersDB, billsDB *identitytest.Database
	secrets           string // the file of the webhooks' secrets

	// tell lets the services hear of what has changed at the provider.
	tell func(change, userID string)
}

func prepare(t *testing.T) *system {
	t.Helper()
	return &system{Mesh: meshtest.New(t), t: t, idp: newProvider(t)}
}

// reach makes the clients; every answer is held to the real services' documents.
func (s *system) reach() {
	s.t.Helper()
	var err error
	s.orders, err = ordersapi.NewClient(s.ordersAt.URL, openapitest.Load(s.t, "../services/orders/openapi.yaml").Client(s.t))
	require.NoError(s.t, err)
	s.billing, err = billingapi.NewClient(s.billsAt.URL, openapitest.Load(s.t, "../services/billing/openapi.yaml").Client(s.t))
	require.NoError(s.t, err)
}

// federated starts the real services.
func federated(t *testing.T) *system {
	t.Helper()
	s := prepare(t)
	migrating := func(name string) (config.Backends, *identitytest.Database) {
		backends, db := s.Backends(name)
		backends.MigrationDatabaseURLFile = s.file(db.OwnerURL)
		return backends, db
	}
	billBackends, billsDB := migrating(realbilling.Name)
	orderBackends, ordersDB := migrating(realorders.Name)
	s.billsDB, s.ordersDB = billsDB, ordersDB
	s.billsAt = s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		return realbilling.Run(ctx, realbilling.Config{
			Common: common, Backends: billBackends, RefundDecider: realbilling.DeciderLocal, RefundLimitMinor: refundLimit, StatementsInterval: billingNever,
		}, log)
	})
	s.ordersAt = s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		return realorders.Run(ctx, realorders.Config{
			Common: common, Backends: orderBackends, BillingURL: s.billsAt.URL, InvoiceRetryAfter: within, InvoiceRetryInterval: 50 * time.Millisecond,
			DirectoryURL: s.idp.server.URL + lookupPath, DirectoryAPIKeyFile: s.file("directory-key"),
		}, log)
	})
	version := uint64(1)
	s.tell = func(change, userID string) {
		version++
		e := identity.Event{ID: uuid.NewString(), Source: "/relay", Type: change, UserID: userID, Version: version, Time: time.Now()}
		raw, err := identity.Encode(e)
		require.NoError(t, err)
		s.Publish(mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw})
		if change == identity.TypeUserDeleted {
			s.Erase(userID, realorders.Name)
		}
	}
	s.reach()
	return s
}

// shadowConfig changes what a test needs otherwise.
type shadowConfig struct {
	users       users.Config
	oneDatabase bool
}

// shadow starts the other archetype, with two databases.
func shadow(t *testing.T, change ...func(*shadowConfig)) *system {
	t.Helper()
	s := prepare(t)
	c := shadowConfig{users: users.Config{
		WebhookMaxAge: 45 * time.Minute, ReconcileInterval: billingNever, Cache: 5 * time.Second, Tombstones: true,
	}}
	for _, f := range change {
		f(&c)
	}
	s.secrets = s.file("whsec_test")
	c.users.WebhookSecretsFile = s.secrets
	var orderBackends, billBackends config.Backends
	if c.oneDatabase {
		orderBackends, s.ordersDB = s.Backends(orders.Name, append(ordersstore.Migrations(), billingstore.Migrations(true)...)...)
		billBackends, s.billsDB = orderBackends, s.ordersDB
		billBackends.APIKeyFile = s.file(meshtest.SecretOf(billing.Name))
	} else {
		orderBackends, s.ordersDB = s.Backends(orders.Name, ordersstore.Migrations()...)
		billBackends, s.billsDB = s.Backends(billing.Name, billingstore.Migrations(false)...)
	}
	s.billsAt = s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		return billing.Run(ctx, billing.Config{Users: c.users, OneDatabase: c.oneDatabase, Config: realbilling.Config{
			Common: common, Backends: billBackends, RefundDecider: realbilling.DeciderLocal, RefundLimitMinor: refundLimit, StatementsInterval: billingNever,
		}}, log)
	})
	s.ordersAt = s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		return orders.Run(ctx, orders.Config{
			Common: common, Backends: orderBackends, Users: c.users, BillingURL: s.billsAt.URL,
			InvoiceRetryAfter: within, InvoiceRetryInterval: 50 * time.Millisecond,
		}, log)
	})
	s.tell = func(change, userID string) {
		d := s.idp.news(webhookType[change], userID)
		for _, at := range []*meshtest.Service{s.ordersAt, s.billsAt} {
			require.Equal(t, http.StatusNoContent, s.deliver(at, d))
		}
	}
	s.reach()
	return s
}

func oneDatabase(c *shadowConfig) { c.oneDatabase = true }

var webhookType = map[string]string{
	identity.TypeUserCreated: "user.created", identity.TypeUserUpdated: "user.updated", identity.TypeUserDeleted: "user.deleted",
}

func (s *system) file(content string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "file")
	require.NoError(s.t, os.WriteFile(path, []byte(content+"\n"), 0o600))
	return path
}

// user signs a customer's token as the identity provider would.
func (s *system) user(sub string, options ...authntest.TokenOption) string {
	return s.IdP.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing"), authntest.Tenant("acme"), authntest.Claim("kind", nil),
		authntest.Permissions(map[string][]string{
			"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"},
		}),
	}, options...)...)
}

func (s *system) staff(tenant string) string {
	return s.user("staff of "+tenant, authntest.Tenant(tenant), authntest.Permissions(map[string][]string{
		"client_shop:order": {"list_any", "contact"}, "client_shop:invoice": {"refund_any"},
	}))
}

var tea = ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "tea", Quantity: 2, UnitPriceMinor: 3500}, {SKU: "cup", Quantity: 1, UnitPriceMinor: 999}}}

const teaCosts = 7999

func (s *system) place(t *testing.T, sub string, options ...authntest.TokenOption) ordersapi.Order {
	t.Helper()
	o, err := s.orders.Place(t.Context(), s.user(sub, options...), uuid.NewString(), tea)
	require.NoError(t, err)
	return o
}

// paid is an order whose invoice was paid.
func (s *system) paid(t *testing.T, sub string) (ordersapi.Order, billingapi.Invoice) {
	t.Helper()
	o := s.place(t, sub)
	require.NotNil(t, o.InvoiceID)
	inv, err := s.billing.Pay(t.Context(), s.user(sub), uuid.NewString(), *o.InvoiceID, teaCosts, 0)
	require.NoError(t, err)
	return o, inv
}

func (s *system) becomes(t *testing.T, sub string, id uuid.UUID, status string) {
	t.Helper()
	require.Eventually(t, func() bool {
		o, err := s.orders.Order(t.Context(), s.user(sub), id)
		return err == nil && o.Status == status
	}, within, every, "order did not become %s", status)
}

func refusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refused *ordersapi.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status, refused.Code)
	require.Equal(t, code, refused.Code)
}

func count(t *testing.T, db *identitytest.Database, sql string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}
