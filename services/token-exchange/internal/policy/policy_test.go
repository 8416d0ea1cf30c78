package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

func TestParse_NamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := policy.Parse([]byte(`
audiences:
  orders: {resource: relative}
  billing: {resource: "https://billing/#part"}
  a: {resource: "https://same"}
  b: {resource: "https://same"}
users:
  default: {abac_required: {t: [p]}}
  roles: {staff: {permissions: {t: [q]}, abac_required: {t: [p]}}}
`))
	for _, part := range []string{"orders.resource", "billing.resource", "another audience", "users.default.abac", "users.roles.staff"} {
		require.ErrorContains(t, err, part)
	}
	_, err = policy.Parse(nil)
	require.ErrorContains(t, err, "audiences")
	_, err = policy.Parse([]byte("audience: {}"))
	require.ErrorContains(t, err, "audience")
}

func TestParse_FindsAudiencesByResource(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse([]byte(`
audiences:
  orders: {entity_types: ["client_shop:order"], resource: "https://orders.example"}
  billing: {entity_types: ["client_shop:invoice"]}
`))
	require.NoError(t, err)
	name, ok := p.AudienceOf("https://orders.example")
	require.True(t, ok)
	require.Equal(t, "orders", name)
	_, ok = p.AudienceOf("")
	require.False(t, ok)
	require.Equal(t, map[string]bool{"client_shop:order": true, "client_shop:invoice": true}, p.EntityTypes([]string{"orders", "billing", "none"}))
}
