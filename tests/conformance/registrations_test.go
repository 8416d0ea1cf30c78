package conformance_test

import (
	"fmt"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const createInvoices = "billing:invoices:create"

// The limits are out of the way; who tests one makes a client with a plan.
const policyYAML = `
audiences:
  orders: {entity_types: ["client_shop:order"], resource: "https://orders.example"}
  billing: {entity_types: ["client_shop:invoice"]}
  console: {entity_types: ["client_shop:order", "client_shop:invoice"]}
  token-exchange: {}
users:
  tenant_id: acme
  default:
    permissions: {"client_shop:order": [place, read, cancel], "client_shop:invoice": [read, pay, refund]}
    abac_required: {"client_shop:invoice": [refund]}
limits:
  key: {requests: 1000000, per: 1m}
  refused: {requests: 1000000, per: 1m}
plans:
  ten: {limit: {requests: 10, per: 1h}}
`

// registrations are the clients of the tests; each has a key.
var registrations = []api.ClientSpec{
	{ID: "orders", Audiences: map[string]api.Audience{
		"billing": {Scopes: []string{createInvoices, "billing:read"}, DelegableScopes: []string{createInvoices}},
	}, Permissions: map[string][]string{"client_shop:invoice": {"read"}, "client_shop:order": {"read"}}},
	{ID: "billing", Audiences: map[string]api.Audience{
		"orders": {DelegableScopes: []string{createInvoices, "orders:read"}}, "console": {},
	}},
	{ID: "console", FrontDoor: true, OIDCClientID: "console-web", Audiences: map[string]api.Audience{
		"orders": {DelegableScopes: []string{"narrow"}}, "billing": {DelegableScopes: []string{"narrow"}},
	}},
	{ID: "many", DefaultAudience: "orders", Audiences: map[string]api.Audience{
		"orders": {Scopes: []string{"shared", "orders:read"}}, "billing": {Scopes: []string{"shared", "billing:read"}},
	}},
	{ID: "exchanger", GrantTypes: []string{authn.GrantTokenExchange}, Audiences: map[string]api.Audience{"orders": {}}},
	{ID: "homeless"},
	widest(),
	{ID: "operator", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{api.AdminScope}}}},
	{ID: "identity-relay", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{"identity:user-ids"}}}},
}

// widest has what no client of a shop needs: every audience, and twenty scopes
// and permissions.
func widest() api.ClientSpec {
	spec := api.ClientSpec{ID: "widest", Audiences: map[string]api.Audience{}, Permissions: map[string][]string{}}
	var scopes []string
	for i := range 20 {
		scopes = append(scopes, fmt.Sprintf("shop:scope-%02d:write", i))
		for _, entity := range []string{"client_shop:order", "client_shop:invoice"} {
			spec.Permissions[entity] = append(spec.Permissions[entity], fmt.Sprintf("permission_%02d", i))
		}
	}
	for _, name := range []string{"orders", "billing", "console"} {
		spec.Audiences[name] = api.Audience{Scopes: scopes, DelegableScopes: scopes}
	}
	return spec
}
