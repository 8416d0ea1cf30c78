// Package transport is billing over HTTP.
package transport

import (
	"context"
	"net/http"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/billing/domain"
)

// Register serves billing's routes. Who may call them is in the mux's table.
func Register(m *access.Mux, s *domain.Service) {
	t := transport{s}
	kit.Handle(m, "POST /v1/invoices", kit.JSON[createRequest], t.create, http.StatusCreated)
	kit.Handle(m, "GET /v1/invoices", kit.NoBody[listRequest], t.list, http.StatusOK)
	kit.Handle(m, "GET /v1/invoices/{id}", kit.NoBody[readRequest], t.read, http.StatusOK)
	kit.Handle(m, "POST /v1/invoices/{id}/payments", kit.JSON[moveRequest], t.pay, http.StatusCreated)
	kit.Handle(m, "POST /v1/invoices/{id}/refunds", kit.JSON[moveRequest], t.refund, http.StatusCreated)
}

type transport struct{ service *domain.Service }

// caller is the verified principal, which the mux has put there.
func caller(ctx context.Context) (*authn.Principal, domain.Owner, error) {
	p, ok := authn.FromContext(ctx)
	if !ok {
		return nil, domain.Owner{}, authn.ErrMissingToken
	}
	return p, domain.Owner{UserID: p.UserID(), TenantID: p.TenantID()}, nil
}

func (t transport) create(ctx context.Context, r createRequest) (invoiceAnswer, error) {
	p, owner, err := caller(ctx)
	if err != nil {
		return invoiceAnswer{}, err
	}
	trusted := p.Kind() == authn.KindService
	if owner, err = r.owner(owner, trusted); err != nil {
		return invoiceAnswer{}, err
	}
	inv, err := t.service.Create(ctx, owner, domain.Order{OrderID: r.OrderID, Currency: r.Currency, AmountMinor: r.AmountMinor}, trusted)
	return answer(inv), err
}

func (t transport) list(ctx context.Context, r listRequest) (api.InvoicePage, error) {
	_, owner, err := caller(ctx)
	if err != nil {
		return api.InvoicePage{}, err
	}
	invoices, next, err := t.service.Invoices(ctx, owner, r.Page)
	if err != nil {
		return api.InvoicePage{}, err
	}
	page := api.InvoicePage{Invoices: make([]api.Invoice, len(invoices)), NextCursor: next}
	for n, inv := range invoices {
		page.Invoices[n] = wire(inv)
	}
	return page, nil
}

func (t transport) read(ctx context.Context, r readRequest) (invoiceAnswer, error) {
	_, owner, err := caller(ctx)
	if err != nil {
		return invoiceAnswer{}, err
	}
	inv, err := t.service.Invoice(ctx, owner, r.ID)
	return answer(inv), err
}

func (t transport) pay(ctx context.Context, r moveRequest) (invoiceAnswer, error) {
	_, owner, err := caller(ctx)
	if err != nil {
		return invoiceAnswer{}, err
	}
	inv, err := t.service.Pay(ctx, owner, r.move())
	return answer(inv), err
}

func (t transport) refund(ctx context.Context, r moveRequest) (invoiceAnswer, error) {
	p, _, err := caller(ctx)
	if err != nil {
		return invoiceAnswer{}, err
	}
	inv, err := t.service.Refund(ctx, p, r.move())
	return answer(inv), err
}
