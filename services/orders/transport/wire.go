package transport

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/etag"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/directory"
	"github.com/shadowless/shadowless/services/orders/api"
	"github.com/shadowless/shadowless/services/orders/domain"
)

type placeRequest struct {
	api.NewOrder
	key string
}

func (q *placeRequest) Bind(r *http.Request) (err error) {
	q.key, err = idempotency.FromRequest(r)
	return err
}

func (q *placeRequest) wish() domain.Wish {
	items := make([]domain.Item, len(q.Items))
	for n, item := range q.Items {
		items[n] = domain.Item(item)
	}
	return domain.Wish{Items: items, Currency: q.Currency, Key: q.key}
}

type listRequest struct{ Page page.Page }

func (l *listRequest) Bind(r *http.Request) (err error) {
	l.Page, err = page.Parse(r.URL.Query())
	return err
}

type listOfRequest struct {
	listRequest
	userID string
}

func (l *listOfRequest) Bind(r *http.Request) error {
	id, err := pathUserID(r)
	if err != nil {
		return err
	}
	l.userID = id
	return l.listRequest.Bind(r)
}

type contactRequest struct{ userID string }

func (q *contactRequest) Bind(r *http.Request) (err error) {
	q.userID, err = pathUserID(r)
	return err
}

// pathUserID reads {user_id}, which is base64url.
func pathUserID(r *http.Request) (string, error) {
	id, err := userids.Decode(r.PathValue("user_id"))
	if err == nil {
		err = identity.CheckUserID(id)
	}
	if err != nil {
		return "", problem.ErrInvalidRequest.Because(err)
	}
	return id, nil
}

type readRequest struct{ ID uuid.UUID }

func (q *readRequest) Bind(r *http.Request) (err error) {
	q.ID, err = kit.PathID(r, domain.ErrNotFound)
	return err
}

type cancelRequest struct {
	id      uuid.UUID
	version int64
}

func (q *cancelRequest) Bind(r *http.Request) (err error) {
	if q.id, err = kit.PathID(r, domain.ErrNotFound); err != nil {
		return err
	}
	q.version, err = etag.IfMatch(r)
	return err
}

type orderAnswer struct{ api.Order }

// SetHeaders implements kit.Headered.
func (a orderAnswer) SetHeaders(h http.Header) {
	etag.Set(h, a.Version)
	h.Set("Location", "/v1/orders/"+a.ID.String())
}

func answer(o domain.Order) orderAnswer { return orderAnswer{wire(o)} }

func wire(o domain.Order) api.Order {
	items := make([]api.Item, len(o.Items))
	for n, item := range o.Items {
		items[n] = api.Item(item)
	}
	return api.Order{
		ID: o.ID, Status: string(o.Status), Currency: o.Currency, TotalMinor: o.TotalMinor, Items: items,
		InvoiceID: o.InvoiceID, Version: o.Version, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
}

func pageOf(orders []domain.Order, next string) api.OrderPage {
	page := api.OrderPage{Orders: make([]api.Order, len(orders)), NextCursor: next}
	for n, o := range orders {
		page.Orders[n] = wire(o)
	}
	return page
}

func customer(p directory.Profile) *api.Customer {
	return &api.Customer{Name: p.Name, AvatarURL: p.AvatarURL, Erased: p.Erased}
}
