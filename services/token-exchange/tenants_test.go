package tokenexchange_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

const tenantsYAML = `
  tenants:
    entity_type: "client_shop:tenant"
    relations:
      member: {}
      manager: {permissions: {"client_shop:order": [list_any]}}
`

// grant puts a relation into the projection, as an event of the provider does.
func (w *world) grant(t *testing.T, user, entityType, entityID, relation string, conditional bool) {
	t.Helper()
	_, err := w.Database.Owner.Exec(t.Context(), `INSERT INTO user_grants (user_id, entity_type, entity_id, relation, conditional, version)
		VALUES ($1, $2, $3, $4, $5, 1)`, user, entityType, entityID, relation, conditional)
	require.NoError(t, err)
}

// TestTenants_SwitchAtTheFrontDoor has a user in 500 tenants.
func TestTenants_SwitchAtTheFrontDoor(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			w := start(t, observed, with(func(c *configuration) {
				c.PolicyFile, c.SigningAlgorithm = write(t, "policy.yaml", policyYAML+tenantsYAML), algorithm
			}))
			for i := range 500 {
				w.grant(t, "u1", "client_shop:tenant", fmt.Sprintf("tenant-%03d", i), "member", false)
			}
			w.grant(t, "u1", "client_shop:tenant", "tenant-250", "manager", false)
			w.grant(t, "u1", "client_shop:tenant", "asked", "manager", true)
			w.grant(t, "u1", "client_shop:tenant", "viewed", "viewer", false)
			w.grant(t, "u2", "client_shop:tenant", "*", "member", false)
			switched := func(user, tenant string) answer {
				return w.send(w.As("console"), frontDoor(w.idTokenOf(user), "tenant", tenant))
			}
			home := w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t)
			require.Less(t, len(home), policy.DefaultMaxTokenBytes, "D7")
			require.Equal(t, "acme", w.verify(home, "orders").TenantID())
			require.Equal(t, authn.Deny, w.verify(home, "orders").Can("order", "", "list_any"))

			there := switched("u1", "tenant-250").token(t)
			require.Less(t, len(there), policy.DefaultMaxTokenBytes, "D7")
			p := w.verify(there, "orders")
			require.Equal(t, "tenant-250", p.TenantID())
			require.Equal(t, authn.Allow, p.Can("order", "", "list_any"))
			require.Equal(t, authn.Ask, p.Can("invoice", "", "refund"))
			require.Equal(t, authn.Deny, w.verify(switched("u1", "tenant-499").token(t), "orders").Can("order", "", "list_any"))
			for user, tenant := range map[string]string{"u1": "tenant-500", "u2": "tenant-001", "u3": "tenant-001"} {
				switched(user, tenant).refused(t, 400, "invalid_request")
			}
			switched("u1", "asked").refused(t, 400, "invalid_request")
			switched("u1", "viewed").refused(t, 400, "invalid_request")

			// A token that is passed on keeps its tenant for ever.
			passed := w.send(w.As("orders"), exchange(there, "audience", "billing")).token(t)
			require.Equal(t, "tenant-250", w.verify(passed, "billing").TenantID())
			w.send(w.As("orders"), exchange(there, "tenant", "tenant-001")).refused(t, 400, "invalid_request")
			w.send(w.As("console"), frontDoor(there, "tenant", "tenant-001")).refused(t, 400, "invalid_request")
		})
	}
}

// TestTenants_TheTokensOwnPermissionsStayAtHome: what a provider says of one
// tenant must not follow the user into another.
func TestTenants_TheTokensOwnPermissionsStayAtHome(t *testing.T) {
	t.Parallel()
	w := start(t, promisedIDTokens, with(func(c *configuration) { c.PolicyFile = write(t, "policy.yaml", policyYAML+tenantsYAML) }))
	w.grant(t, "u1", "client_shop:tenant", "globex", "member", false)
	subject := w.User("u1", authntest.Header("typ", "JWT"), authntest.Audience("console-web"), authntest.Tenant("initech"),
		authntest.Permissions(map[string][]string{"client_shop:order": {"read", "list_any"}}))
	home := w.verify(w.send(w.As("console"), frontDoor(subject)).token(t), "orders")
	require.Equal(t, "initech", home.TenantID())
	require.Equal(t, authn.Allow, home.Can("order", "", "list_any"))
	away := w.verify(w.send(w.As("console"), frontDoor(subject, "tenant", "globex")).token(t), "orders")
	require.Equal(t, "globex", away.TenantID())
	require.Equal(t, authn.Deny, away.Can("order", "", "list_any"))
	require.Equal(t, authn.Allow, away.Can("order", "", "place"))
	// The access token of the provider is no sign-in: no switch with it.
	w.send(w.As("orders"), exchange(w.User("u1"), "tenant", "globex")).refused(t, 400, "invalid_request")
}

// TestTokens_D7_ATokenBeyondTheLimitIsRefused and not cut short.
func TestTokens_D7_ATokenBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	for i := range 500 {
		w.grant(t, "u1", "client_shop:invoice", fmt.Sprintf("invoice-%03d", i), "staff", false)
	}
	a := w.send(w.As("console"), frontDoor(w.idTokenOf("u1")))
	a.refused(t, 400, "invalid_request")
	w.audited(t, "reason = 'token_too_large' AND NOT granted")
	form := frontDoor(w.idTokenOf("u1"))
	form["audience"] = []string{"orders"}
	w.send(w.As("console"), form).token(t) // the invoices are not for orders
}
