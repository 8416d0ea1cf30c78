package billing

import (
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/billing/domain"
)

const refunds = "POST /v1/invoices/{id}/refunds"

// Access is the table with what the configuration wants of a sign-in.
func (c Config) Access() access.Table {
	table := Access()
	for i := range table.Routes {
		if table.Routes[i].Pattern == refunds {
			table.Routes[i].StepUp = authn.StepUp{ACR: c.RefundACR, MaxAge: c.RefundMaxAuthAge}
		}
	}
	return table
}

// Access is who may call what. Reading and the creation of an invoice, which is
// a part of placing an order, go on while revocations cannot arrive; moving
// money does not.
func Access() access.Table {
	return access.Table{Service: Name, Routes: append([]access.Route{
		{
			Pattern: "POST /v1/invoices",
			Allow: []access.Rule{
				access.Delegated("orders", api.ScopeCreateInvoices),
				access.Client("orders", api.ScopeCreateInvoices),
			},
			Posture: access.FailOpen,
			Doc:     "make an order's invoice; orders alone, for its caller or, when it tries again later, for itself",
		},
		{
			Pattern: "GET /v1/invoices", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityInvoice, domain.PermissionRead)},
			Doc:   "list my invoices",
		},
		{
			Pattern: "GET /v1/invoices/{id}", Posture: access.FailOpen,
			Allow: []access.Rule{access.User(domain.EntityInvoice, domain.PermissionRead)},
			Doc:   "read one of my invoices",
		},
		{
			Pattern: "POST /v1/invoices/{id}/payments",
			Allow:   []access.Rule{access.User(domain.EntityInvoice, domain.PermissionPay)},
			Doc:     "pay one of my invoices",
		},
		{
			Pattern: refunds,
			Allow: []access.Rule{
				access.User(domain.EntityInvoice, domain.PermissionRefundAny),
				access.Asked(domain.EntityInvoice, domain.PermissionRefund),
			},
			Doc: "refund any invoice (staff), or one of mine if amount, status and currency allow it",
		},
		userids.Route(),
	}, holdings.Routes()...)}
}
