package orders_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/api"
)

func TestDocument_HasTheRoutesOfTheAccessTable(t *testing.T) {
	t.Parallel()
	openapitest.Load(t, "openapi.yaml").RequireRoutes(t, orders.Access())
}

// Each rule of the access table: who is let in, and who is not.
func TestAccess(t *testing.T) {
	t.Parallel()
	w := start(t)
	mine, other := w.place("alice"), w.place("alice")
	delegated := w.Exchange.Issuer().UserToken("alice", authntest.Audience("orders"), authntest.Tenant("acme"),
		may("place", "read", "cancel", "list_any"), authntest.ActedBy("console"))
	service := w.serviceToken("billing", "place read cancel list_any")
	impostor := w.user("client:orders")

	place := func(token string) error {
		_, err := w.client.Place(t.Context(), token, uuid.NewString(), tea)
		return err
	}
	list := func(token string) error { _, err := w.client.Orders(t.Context(), token, 0, ""); return err }
	read := func(token string) error { _, err := w.client.Order(t.Context(), token, mine.ID); return err }
	cancel := func(token string) error { _, err := w.client.Cancel(t.Context(), token, other.ID, 0); return err }
	listOf := func(token string) error {
		_, err := w.client.OrdersOf(t.Context(), token, "alice", 0, "")
		return err
	}
	listAll := func(token string) error {
		_, err := w.client.TenantOrders(t.Context(), token, 0, "")
		return err
	}
	ids := func(token string) error { return w.userIDs(t.Context(), token) }

	for name, tc := range map[string]struct {
		call   func(token string) error
		token  string
		status int // 0: allowed
		code   string
	}{
		"no token":                                   {list, "", 401, "missing-token"},
		"for another audience":                       {list, w.user("alice", authntest.Audience("billing")), 401, "invalid-token"},
		"a user with a service's name":               {list, impostor, 401, "invalid-token"},
		"place: with place":                          {place, w.user("carol", may("place")), 0, ""},
		"place: without place":                       {place, w.user("carol", may("read", "cancel")), 403, "forbidden"},
		"place: delegated":                           {place, delegated, 403, "forbidden"},
		"place: a service":                           {place, service, 403, "forbidden"},
		"place: permissions unknown":                 {place, w.user("carol", authntest.Claim("permissions", nil)), 503, "permission-unavailable"},
		"list: with read":                            {list, w.user("alice", may("read")), 0, ""},
		"list: without read":                         {list, w.user("alice", may("place")), 403, "forbidden"},
		"list: delegated":                            {list, delegated, 403, "forbidden"},
		"list: a service":                            {list, service, 403, "forbidden"},
		"read: mine":                                 {read, w.user("alice", may("read")), 0, ""},
		"read: without read":                         {read, w.user("alice", may("place")), 403, "forbidden"},
		"read: somebody else's":                      {read, w.user("bob"), 404, "order-not-found"},
		"read: mine, in another tenant":              {read, w.user("alice", authntest.Tenant("other")), 404, "order-not-found"},
		"read: staff too, through their own listing": {read, w.user("staff", may("read", "list_any")), 404, "order-not-found"},
		"cancel: without cancel":                     {cancel, w.user("alice", may("place", "read")), 403, "forbidden"},
		"cancel: somebody else's":                    {cancel, w.user("bob"), 404, "order-not-found"},
		"cancel: delegated":                          {cancel, delegated, 403, "forbidden"},
		"list of a user: staff":                      {listOf, w.user("staff", may("list_any")), 0, ""},
		"list of a user: a customer":                 {listOf, w.user("alice"), 403, "forbidden"},
		"list of a user: delegated":                  {listOf, delegated, 403, "forbidden"},
		"list of a user: a service":                  {listOf, service, 403, "forbidden"},
		"list of the tenant: staff":                  {listAll, w.user("staff", may("list_any")), 0, ""},
		"list of the tenant: a customer":             {listAll, w.user("alice"), 403, "forbidden"},
		"list of the tenant: delegated":              {listAll, delegated, 403, "forbidden"},
		"list of the tenant: a service":              {listAll, service, 403, "forbidden"},
		"user-ids: identity-relay":                   {ids, w.serviceToken("identity-relay", "identity:user-ids"), 0, ""},
		"user-ids: without the scope":                {ids, w.serviceToken("identity-relay", "other"), 403, "forbidden"},
		"user-ids: another service":                  {ids, w.serviceToken("billing", "identity:user-ids"), 403, "forbidden"},
		"user-ids: a user":                           {ids, w.user("alice", authntest.Scope("identity:user-ids")), 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.call(tc.token)
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
		return &api.Error{Status: resp.StatusCode, Code: map[int]string{403: "forbidden"}[resp.StatusCode]}
	}
	return nil
}

func TestAccess_RevokedSessionIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.user("alice", authntest.Session("s1"))
	_, err := w.client.Orders(t.Context(), token, 0, "")
	require.NoError(t, err)
	w.Revoke(authn.Revocation{Kind: authn.RevokedSession, Key: authn.NewRevocationKey(authn.RevokedSession, "s1")})
	require.Eventually(t, func() bool {
		_, err = w.client.Orders(t.Context(), token, 0, "")
		return err != nil
	}, within, every)
	refusal(t, err, 401, "invalid-token")
	_, err = w.client.Orders(t.Context(), w.user("alice"), 0, "")
	require.NoError(t, err, "another session goes on")
}
