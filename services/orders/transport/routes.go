// Package transport is orders over HTTP.
package transport

import (
	"context"
	"net/http"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/orders/api"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// Register serves the routes of orders. Who may call them is in the mux's table.
func Register(m *access.Mux, s *domain.Service) {
	t := transport{s}
	kit.Handle(m, "POST /v1/orders", kit.JSON[placeRequest], t.place, http.StatusCreated)
	kit.Handle(m, "GET /v1/orders", kit.NoBody[listRequest], t.list, http.StatusOK)
	kit.Handle(m, "GET /v1/orders/{id}", kit.NoBody[readRequest], t.read, http.StatusOK)
	kit.Handle(m, "POST /v1/orders/{id}/cancel", kit.NoBody[cancelRequest], t.cancel, http.StatusOK)
	kit.Handle(m, "GET /v1/users/{user_id}/orders", kit.NoBody[listOfRequest], t.listOf, http.StatusOK)
	kit.Handle(m, "GET /v1/tenant/orders", kit.NoBody[listRequest], t.tenantOrders, http.StatusOK)
	kit.Handle(m, "GET /v1/users/{user_id}/contact", kit.NoBody[contactRequest], t.contact, http.StatusOK)
}

type transport struct{ service *domain.Service }

// caller is the verified principal, which the mux has put there.
func caller(ctx context.Context) (*authn.Principal, error) {
	p, ok := authn.FromContext(ctx)
	if !ok {
		return nil, authn.ErrMissingToken
	}
	return p, nil
}

func (t transport) place(ctx context.Context, r placeRequest) (orderAnswer, error) {
	p, err := caller(ctx)
	if err != nil {
		return orderAnswer{}, err
	}
	o, err := t.service.Place(ctx, p, r.wish())
	return answer(o), err
}

func (t transport) list(ctx context.Context, r listRequest) (api.OrderPage, error) {
	p, err := caller(ctx)
	if err != nil {
		return api.OrderPage{}, err
	}
	orders, next, err := t.service.Orders(ctx, domain.OwnerOf(p), r.Page)
	if err != nil {
		return api.OrderPage{}, err
	}
	return pageOf(orders, next), nil
}

func (t transport) read(ctx context.Context, r readRequest) (orderAnswer, error) {
	p, err := caller(ctx)
	if err != nil {
		return orderAnswer{}, err
	}
	o, err := t.service.Order(ctx, domain.OwnerOf(p), r.ID)
	return answer(o), err
}

func (t transport) cancel(ctx context.Context, r cancelRequest) (orderAnswer, error) {
	p, err := caller(ctx)
	if err != nil {
		return orderAnswer{}, err
	}
	o, err := t.service.Cancel(ctx, domain.OwnerOf(p), r.id, r.version)
	return answer(o), err
}

// listOf serves staff: any user's orders, in the staff's own tenant.
func (t transport) listOf(ctx context.Context, r listOfRequest) (api.CustomerOrderPage, error) {
	p, err := caller(ctx)
	if err != nil {
		return api.CustomerOrderPage{}, err
	}
	orders, next, c, err := t.service.OrdersOf(ctx, domain.Owner{UserID: r.userID, TenantID: p.TenantID()}, r.Page)
	if err != nil {
		return api.CustomerOrderPage{}, err
	}
	answer := api.CustomerOrderPage{OrderPage: pageOf(orders, next)}
	if c != nil {
		answer.Customer = customer(*c)
	}
	return answer, nil
}

// tenantOrders serves staff: everybody's orders, in the staff's own tenant.
func (t transport) tenantOrders(ctx context.Context, r listRequest) (api.TenantOrderPage, error) {
	p, err := caller(ctx)
	if err != nil {
		return api.TenantOrderPage{}, err
	}
	orders, next, profiles, err := t.service.TenantOrders(ctx, p.TenantID(), r.Page)
	if err != nil {
		return api.TenantOrderPage{}, err
	}
	answer := api.TenantOrderPage{Orders: make([]api.TenantOrder, len(orders)), NextCursor: next}
	for n, o := range orders {
		answer.Orders[n] = api.TenantOrder{Order: wire(o), UserID: o.Owner.UserID}
		if c, known := profiles[o.Owner.UserID]; known {
			answer.Orders[n].Customer = customer(c)
		}
	}
	return answer, nil
}

// contact serves staff who must reach a customer of their own tenant.
func (t transport) contact(ctx context.Context, r contactRequest) (api.Contact, error) {
	p, err := caller(ctx)
	if err != nil {
		return api.Contact{}, err
	}
	c, err := t.service.Contact(ctx, domain.Owner{UserID: r.userID, TenantID: p.TenantID()})
	if err != nil {
		return api.Contact{}, err
	}
	return api.Contact{Name: c.Name, Email: c.Email, Erased: c.Erased}, nil
}
