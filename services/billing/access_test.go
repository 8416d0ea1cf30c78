package billing_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/billing/api"
)

func TestDocument_HasTheRoutesOfTheAccessTable(t *testing.T) {
	t.Parallel()
	openapitest.Load(t, "openapi.yaml").RequireRoutes(t, billing.Access())
}

// Each rule of the access table: who is let in, and who is not.
func TestAccess(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	mine := w.paid("alice", 1000)
	open := w.invoice("alice", 700)
	without := func(permissions ...string) string {
		return w.user("alice", authntest.Permissions(map[string][]string{"client_shop:invoice": permissions}), authntest.ABACRequired(nil))
	}
	create := func(token string, in api.NewInvoice) error {
		in.OrderID, in.Currency, in.AmountMinor = newID(t), "EUR", 1
		_, err := w.client.Create(ctx, token, in)
		return err
	}
	named := api.NewInvoice{UserID: "alice", TenantID: "acme"}

	for name, tc := range map[string]struct {
		call   func() error
		status int // 0: allowed
		code   string
	}{
		"no token": {func() error { _, err := w.client.Invoices(ctx, "", 0, ""); return err }, 401, "missing-token"},
		"a token for others": {func() error {
			_, err := w.client.Invoices(ctx, w.user("alice", authntest.Audience("orders")), 0, "")
			return err
		}, 401, "invalid-token"},

		"create: delegated through orders":          {func() error { return create(w.delegated("alice"), api.NewInvoice{}) }, 0, ""},
		"create: delegated, naming a customer":      {func() error { return create(w.delegated("alice"), named) }, 400, "invalid-request"},
		"create: delegated without the scope":       {func() error { return create(w.delegated("alice", authntest.Scope("")), api.NewInvoice{}) }, 403, "forbidden"},
		"create: delegated through another service": {func() error { return create(w.delegated("alice", authntest.ActedBy("console")), api.NewInvoice{}) }, 403, "forbidden"},
		"create: orders behind another service": {func() error {
			return create(w.delegated("alice", authntest.ActedBy("console", "orders")), api.NewInvoice{})
		}, 403, "forbidden"},
		"create: the user alone":                 {func() error { return create(w.user("alice"), api.NewInvoice{}) }, 403, "forbidden"},
		"create: orders for itself":              {func() error { return create(w.serviceToken("orders", api.ScopeCreateInvoices), named) }, 0, ""},
		"create: orders for nobody":              {func() error { return create(w.serviceToken("orders", api.ScopeCreateInvoices), api.NewInvoice{}) }, 422, "invalid-invoice"},
		"create: orders without the scope":       {func() error { return create(w.serviceToken("orders", "other"), named) }, 403, "forbidden"},
		"create: another service with the scope": {func() error { return create(w.serviceToken("console", api.ScopeCreateInvoices), named) }, 403, "forbidden"},
		"list: with read":                        {func() error { _, err := w.client.Invoices(ctx, without("read"), 0, ""); return err }, 0, ""},
		"list: without read":                     {func() error { _, err := w.client.Invoices(ctx, without("pay"), 0, ""); return err }, 403, "forbidden"},
		"list: a service":                        {func() error { _, err := w.client.Invoices(ctx, w.serviceToken("orders", "read"), 0, ""); return err }, 403, "forbidden"},
		"list: delegated":                        {func() error { _, err := w.client.Invoices(ctx, w.delegated("alice"), 0, ""); return err }, 403, "forbidden"},
		"list: nobody knows the permissions": {func() error {
			_, err := w.client.Invoices(ctx, w.user("alice", authntest.Permissions(nil), authntest.Claim("permissions", nil)), 0, "")
			return err
		}, 503, "permission-unavailable"},
		"read: mine":            {func() error { _, err := w.client.Invoice(ctx, without("read"), mine.ID); return err }, 0, ""},
		"read: without read":    {func() error { _, err := w.client.Invoice(ctx, without("pay"), mine.ID); return err }, 403, "forbidden"},
		"read: somebody else's": {func() error { _, err := w.client.Invoice(ctx, w.user("bob"), mine.ID); return err }, 404, "invoice-not-found"},
		"read: mine, in another tenant": {func() error {
			_, err := w.client.Invoice(ctx, w.user("alice", authntest.Tenant("other")), mine.ID)
			return err
		}, 404, "invoice-not-found"},
		"read: absent":            {func() error { _, err := w.client.Invoice(ctx, w.user("alice"), uuid.New()); return err }, 404, "invoice-not-found"},
		"pay: without pay":        {func() error { _, err := w.client.Pay(ctx, without("read"), "k", open.ID, 700, 0); return err }, 403, "forbidden"},
		"pay: somebody else's":    {func() error { _, err := w.client.Pay(ctx, w.user("bob"), "k", open.ID, 700, 0); return err }, 404, "invoice-not-found"},
		"refund: without refund":  {func() error { _, err := w.client.Refund(ctx, without("read", "pay"), "r1", mine.ID, 1, 0); return err }, 403, "forbidden"},
		"refund: somebody else's": {func() error { _, err := w.client.Refund(ctx, w.user("bob"), "r2", mine.ID, 1, 0); return err }, 404, "invoice-not-found"},
		"refund: a service": {func() error {
			_, err := w.client.Refund(ctx, w.serviceToken("orders", "refund"), "r3", mine.ID, 1, 0)
			return err
		}, 403, "forbidden"},
		"refund: staff of another tenant": {func() error {
			_, err := w.client.Refund(ctx, w.user("eve", authntest.Tenant("other"), authntest.Permissions(map[string][]string{"client_shop:invoice": {"refund_any"}})), "r4", mine.ID, 1, 0)
			return err
		}, 404, "invoice-not-found"},
		"user-ids: identity-relay":                   {func() error { return w.userIDs(ctx, w.serviceToken("identity-relay", "identity:user-ids")) }, 0, ""},
		"user-ids: identity-relay without the scope": {func() error { return w.userIDs(ctx, w.serviceToken("identity-relay", "other")) }, 403, "forbidden"},
		"user-ids: another service":                  {func() error { return w.userIDs(ctx, w.serviceToken("orders", "identity:user-ids")) }, 403, "forbidden"},
		"user-ids: a user":                           {func() error { return w.userIDs(ctx, w.user("alice", authntest.Scope("identity:user-ids"))) }, 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.call()
			if tc.status == 0 {
				require.NoError(t, err)
				return
			}
			refusal(t, err, tc.status, tc.code)
		})
	}
}

func (w *world) userIDs(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.service.URL+"/v1/identity/user-ids", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read by the test's client
	if resp.StatusCode != http.StatusOK {
		code := map[int]string{401: "invalid-token", 403: "forbidden"}[resp.StatusCode]
		return &api.Error{Status: resp.StatusCode, Code: code}
	}
	return nil
}

func TestAccess_RevokedUserIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.user("alice")
	_, err := w.client.Invoices(t.Context(), token, 0, "")
	require.NoError(t, err)
	w.Revoke(authn.Revocation{Kind: authn.BlockedUser, Key: authn.NewRevocationKey(authn.BlockedUser, "alice")})
	require.Eventually(t, func() bool {
		_, err := w.client.Invoices(t.Context(), token, 0, "")
		return err != nil
	}, within, every)
	_, err = w.client.Invoices(t.Context(), token, 0, "")
	refusal(t, err, 401, "invalid-token")
}
