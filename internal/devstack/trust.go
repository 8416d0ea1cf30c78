package devstack

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
)

// The entity types of the demo's client at the IdP.
const (
	orderType   = "client_shop:order"
	invoiceType = "client_shop:invoice"
)

// object keeps the YAML below readable.
type object = map[string]any

func (s *setting) yaml(name string, content object) string {
	raw, err := yaml.Marshal(content)
	if err != nil {
		s.fail(fmt.Errorf("write %s: %w", name, err))
		return ""
	}
	path, err := s.state.Write(raw, "config", name)
	if err != nil {
		s.fail(err)
	}
	return path
}

// authnConfig says whose tokens are accepted: the IdP's, in the shape that it
// has in this mode, and token-exchange's about the IdP's users.
func (s *setting) authnConfig() string {
	profile := "auther"
	if s.observed() {
		profile = "auther-observed"
	}
	return s.yaml("authn.yaml", object{
		"issuers": []object{
			{"issuer": s.url(DevIDP), "profile": profile, "jwks_urls": []string{s.url(DevIDP) + "/api/auth/jwks"}},
			{
				"issuer": s.url(TokenExchange), "profile": "shadowless", "users_of": s.url(DevIDP),
				"jwks_urls": []string{s.url(TokenExchange) + "/.well-known/jwks.json"},
			},
		},
		"entity_types": object{"order": orderType, "invoice": invoiceType},
	})
}

// clients registers who may get tokens at token-exchange, each with the key that
// was made for it.
func (s *setting) clients() string {
	list := []object{
		{"id": Orders, "audiences": object{Billing: object{
			"scopes": []string{"billing:invoices:create"}, "delegable_scopes": []string{"billing:invoices:create"},
		}}},
		{"id": Billing, "audiences": object{Orders: object{}}},
		{"id": TokenExchange, "audiences": object{TokenExchange: object{}}},
		{"id": IdentityRelay, "audiences": s.participantAudiences(), "default_audience": Orders},
		s.door(object{"id": Console, "audiences": object{Orders: object{}, Billing: object{}, Console: object{}}, "default_audience": Console}),
		s.door(object{"id": DemoClient, "audiences": object{Orders: object{}, Billing: object{}}, "default_audience": Orders}),
		{"id": Operator, "audiences": object{
			TokenExchange: object{"scopes": []string{"token-exchange:admin"}}, IdentityRelay: object{"scopes": []string{"identity-relay:operate"}},
		}, "default_audience": TokenExchange},
	}
	for _, client := range list {
		id, _ := client["id"].(string)
		client["key_files"] = []string{s.apiKey(id)}
	}
	return s.yaml("clients.yaml", object{"clients": list})
}

// door makes a client a front door for the OIDC client of its name, where the
// IdP's own access tokens are of no use to the services.
func (s *setting) door(client object) object {
	if s.observed() {
		client["front_door"], client["oidc_client_id"] = true, client["id"]
	}
	return client
}

func (s *setting) participantAudiences() object {
	audiences := object{}
	for _, p := range participants {
		audiences[p] = object{"scopes": append([]string{userids.Scope}, holdings.Scopes...)}
	}
	return audiences
}

// policy says which permissions each audience's tokens carry, and what a user
// may do where the IdP's token does not say: everybody is a customer, and what
// else there is comes from the IdP's grants, reported as events.
func (s *setting) policy() string {
	return s.yaml("policy.yaml", object{
		"audiences": object{
			Orders:        object{"entity_types": []string{orderType}, "resource": s.url(Orders)},
			Billing:       object{"entity_types": []string{invoiceType}, "resource": s.url(Billing)},
			Console:       object{"entity_types": []string{orderType, invoiceType}, "resource": s.url(Console)},
			TokenExchange: object{}, IdentityRelay: object{},
		},
		"users": object{
			"tenant_id": "acme",
			"default": object{
				"permissions":   object{orderType: []string{"place", "read", "cancel"}, invoiceType: []string{"read", "pay", "refund"}},
				"abac_required": object{invoiceType: []string{"refund"}},
			},
			"relations": object{
				orderType:   object{"staff": []string{"place", "read", "cancel", "list_any", "contact"}},
				invoiceType: object{"staff": []string{"read", "pay", "refund", "refund_any"}},
			},
		},
	})
}
