package transport

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/etag"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/billing/domain"
)

type createRequest struct{ api.NewInvoice }

// owner is the customer: the delegated token's user, or whom a service names.
func (r createRequest) owner(user domain.Owner, service bool) (domain.Owner, error) {
	if !service {
		if r.UserID != "" || r.TenantID != "" {
			return domain.Owner{}, problem.ErrInvalidRequest.Becausef("a delegated call names a customer")
		}
		return user, nil
	}
	if err := identity.CheckUserID(r.UserID); err != nil {
		return domain.Owner{}, domain.ErrInvalid.Because(err)
	}
	return domain.Owner{UserID: r.UserID, TenantID: r.TenantID}, nil
}

type listRequest struct{ Page page.Page }

func (l *listRequest) Bind(r *http.Request) (err error) {
	l.Page, err = page.Parse(r.URL.Query())
	return err
}

type readRequest struct{ ID uuid.UUID }

func (q *readRequest) Bind(r *http.Request) (err error) {
	q.ID, err = kit.PathID(r, domain.ErrNotFound)
	return err
}

type moveRequest struct {
	api.Amount
	id      uuid.UUID
	key     string
	version int64
}

func (q *moveRequest) Bind(r *http.Request) (err error) {
	if q.id, err = kit.PathID(r, domain.ErrNotFound); err != nil {
		return err
	}
	if q.key, err = idempotency.FromRequest(r); err != nil {
		return err
	}
	q.version, err = etag.IfMatch(r)
	return err
}

func (q *moveRequest) move() domain.Move {
	return domain.Move{InvoiceID: q.id, AmountMinor: q.AmountMinor, Key: q.key, IfVersion: q.version}
}

type invoiceAnswer struct{ api.Invoice }

// SetHeaders implements kit.Headered.
func (a invoiceAnswer) SetHeaders(h http.Header) {
	etag.Set(h, a.Version)
	h.Set("Location", "/v1/invoices/"+a.ID.String())
}

func answer(i domain.Invoice) invoiceAnswer { return invoiceAnswer{wire(i)} }

func wire(i domain.Invoice) api.Invoice {
	return api.Invoice{
		ID: i.ID, OrderID: i.OrderID, Status: string(i.Status), Currency: i.Currency, AmountMinor: i.AmountMinor,
		RefundedMinor: i.RefundedMinor, Version: i.Version, CreatedAt: i.CreatedAt,
	}
}
