package domain

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/etag"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/directory"
)

// Entity type and permissions, by their local names.
const (
	EntityOrder       = "order"
	PermissionPlace   = "place"
	PermissionRead    = "read"
	PermissionCancel  = "cancel"
	PermissionListAny = "list_any"
	PermissionContact = "contact"
)

const (
	// invoiceTimeout bounds how long placing an order waits for billing. The
	// order is accepted either way.
	invoiceTimeout = 3 * time.Second
	// nameTimeout bounds how long a listing waits for a name.
	nameTimeout = 500 * time.Millisecond

	operationPlace = "place"
)

// Deps is what the service stands on. Note is told what went wrong where the caller is served regardless.
type Deps struct {
	Store     Store
	Invoicer  Invoicer
	Customers Customers
	Note      func(ctx context.Context, what string, err error)
	Now       func() time.Time
}

// Service is orders.
type Service struct{ deps Deps }

// NewService makes the service.
func NewService(d Deps) *Service { return &Service{d} }

// now has the precision of the database, so that what is answered is what is read later.
func (s *Service) now() time.Time { return s.deps.Now().UTC().Truncate(time.Microsecond) }

// Wish is what a customer wants to order.
type Wish struct {
	Items    []Item
	Currency string
	Key      string // Idempotency-Key
}

// Place accepts an order and has it invoiced. The order is committed first: if
// billing does not answer, it stands without an invoice and is invoiced later.
func (s *Service) Place(ctx context.Context, p *authn.Principal, w Wish) (Order, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Order{}, fmt.Errorf("make an order ID: %w", err)
	}
	owner := OwnerOf(p)
	o, err := New(id, owner, w.Currency, w.Items, s.now())
	if err != nil {
		return Order{}, err
	}
	key := idempotency.Key{
		UserID: owner.UserID, TenantID: owner.TenantID, Operation: operationPlace, Value: w.Key,
		Hash: idempotency.Hash(w.Items, w.Currency),
	}
	placed, repeated, err := s.deps.Store.Place(ctx, o, key)
	if err != nil || repeated {
		return placed, err
	}
	// The order stands: whatever happens from here on is not the caller's error.
	invoicing, cancel := context.WithTimeout(ctx, invoiceTimeout)
	defer cancel()
	invoiceID, err := s.deps.Invoicer.Invoice(invoicing, p, placed)
	if err != nil {
		s.deps.Note(ctx, "the order waits for its invoice", err)
		return placed, nil
	}
	invoiced, err := s.deps.Store.SetInvoice(ctx, placed.ID, invoiceID, &key, s.now())
	if err != nil {
		s.deps.Note(ctx, "the invoice was not remembered", err)
		return placed, nil
	}
	return invoiced, nil
}

// Order returns one order of the owner. ErrNotFound covers both "absent" and
// "somebody else's".
func (s *Service) Order(ctx context.Context, owner Owner, id uuid.UUID) (Order, error) {
	return s.deps.Store.Order(ctx, owner, id)
}

// Orders lists the owner's orders with the cursor of the next page.
func (s *Service) Orders(ctx context.Context, owner Owner, p page.Page) ([]Order, string, error) {
	rows, err := s.deps.Store.Orders(ctx, owner, p)
	if err != nil {
		return nil, "", err
	}
	orders, next := page.Cut(p, rows, func(o Order) uuid.UUID { return o.ID })
	return orders, next, nil
}

// OrdersOf lists any user's orders with their profile, or nil: a page that can
// be shown without a name is shown without it.
func (s *Service) OrdersOf(ctx context.Context, owner Owner, p page.Page) ([]Order, string, *directory.Profile, error) {
	rows, profiles, err := s.deps.Customers.OrdersOf(ctx, owner, p)
	if err != nil {
		return nil, "", nil, err
	}
	orders, next := page.Cut(p, rows, func(o Order) uuid.UUID { return o.ID })
	if profile, known := profiles[owner.UserID]; known {
		return orders, next, &profile, nil
	}
	return orders, next, nil, nil
}

// TenantOrders lists everybody's orders in the tenant, with the profiles of
// those who are known.
func (s *Service) TenantOrders(ctx context.Context, tenantID string, p page.Page) ([]Order, string, Profiles, error) {
	rows, profiles, err := s.deps.Customers.TenantOrders(ctx, tenantID, p)
	if err != nil {
		return nil, "", nil, err
	}
	orders, next := page.Cut(p, rows, func(o Order) uuid.UUID { return o.ID })
	return orders, next, profiles, nil
}

// Contact returns display data and the e-mail address of a user who has ordered
// in the tenant. ErrNoContact: they have not, and orders is no directory for
// whoever has an ID to try, or nobody can say.
func (s *Service) Contact(ctx context.Context, owner Owner) (directory.Profile, error) {
	p, err := s.deps.Customers.Contact(ctx, owner)
	if err != nil {
		return directory.Profile{}, err
	}
	if p == nil || p.Email == "" && !p.Erased {
		return directory.Profile{}, ErrNoContact
	}
	return *p, nil
}

// Cancel cancels an order of the owner that is not paid.
func (s *Service) Cancel(ctx context.Context, owner Owner, id uuid.UUID, ifVersion int64) (Order, error) {
	return s.deps.Store.Cancel(ctx, owner, id, func(o *Order) (bool, error) {
		if err := etag.Check(ifVersion, o.Version); err != nil {
			return false, err
		}
		return o.Cancel(s.now())
	})
}

// OwnerOf is the principal as an owner.
func OwnerOf(p *authn.Principal) Owner { return Owner{UserID: p.UserID(), TenantID: p.TenantID()} }
