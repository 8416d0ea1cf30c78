package orders

import (
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// Access is who may call what. A customer's own orders can be placed, read and
// canceled while revocations cannot arrive: a shop that stops selling because a
// ban might be seconds old is worse off. What staff may see of others stops.
func Access() access.Table {
	return access.Table{Service: Name, Routes: append([]access.Route{
		{
			Pattern: "POST /v1/orders", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityOrder, domain.PermissionPlace)},
			Doc:   "place an order",
		},
		{
			Pattern: "GET /v1/orders", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityOrder, domain.PermissionRead)},
			Doc:   "list my orders",
		},
		{
			Pattern: "GET /v1/orders/{id}", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityOrder, domain.PermissionRead)},
			Doc:   "read one of my orders",
		},
		{
			Pattern: "POST /v1/orders/{id}/cancel", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityOrder, domain.PermissionCancel)},
			Doc:   "cancel one of my orders that is not paid",
		},
		{
			Pattern: "GET /v1/users/{user_id}/orders",
			Allow:   []access.Rule{access.User(domain.EntityOrder, domain.PermissionListAny)},
			Doc:     "list any user's orders with their display name (staff)",
		},
		{
			Pattern: "GET /v1/tenant/orders",
			Allow:   []access.Rule{access.User(domain.EntityOrder, domain.PermissionListAny)},
			Doc:     "list everybody's orders in the tenant with their display names (staff)",
		},
		{
			Pattern: "GET /v1/users/{user_id}/contact", Discloses: []access.Data{access.Email},
			Allow: []access.Rule{access.User(domain.EntityOrder, domain.PermissionContact)},
			Doc:   "how to reach a customer who has ordered (staff)",
		},
		userids.Route(),
	}, holdings.Routes()...)}
}
