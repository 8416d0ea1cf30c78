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
)

// Entity types and permissions, by their local names.
const (
	EntityInvoice       = "invoice"
	PermissionRead      = "read"
	PermissionPay       = "pay"
	PermissionRefund    = "refund"
	PermissionRefundAny = "refund_any"
)

// Service is billing.
type Service struct {
	store   Store
	decider Decider
	now     func() time.Time
}

// NewService makes billing on a store. decider answers who may refund.
func NewService(store Store, decider Decider, now func() time.Time) *Service {
	return &Service{store: store, decider: decider, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
}

// Order is what is invoiced.
type Order struct {
	OrderID     uuid.UUID
	Currency    string
	AmountMinor int64
}

// Create makes the order's invoice, or returns the one it has. An existing one
// of another amount or customer is ErrInvoiceDiffers; a trusted caller, a
// service that acts for itself, may know the customer under a pseudonym by now
// and is not held to the customer.
func (s *Service) Create(ctx context.Context, owner Owner, o Order, trusted bool) (Invoice, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Invoice{}, fmt.Errorf("make an invoice ID: %w", err)
	}
	inv, change, err := New(id, o.OrderID, owner, o.Currency, o.AmountMinor, s.now())
	if err != nil {
		return Invoice{}, err
	}
	stored, err := s.store.Create(ctx, inv, change)
	if err != nil {
		return Invoice{}, err
	}
	if stored.AmountMinor != inv.AmountMinor || stored.Currency != inv.Currency || (!trusted && stored.Owner != owner) {
		return Invoice{}, ErrInvoiceDiffers
	}
	return stored, nil
}

// Invoice returns one invoice of the owner. ErrNotFound covers both "absent"
// and "somebody else's".
func (s *Service) Invoice(ctx context.Context, owner Owner, id uuid.UUID) (Invoice, error) {
	return s.store.Invoice(ctx, Own(owner), id)
}

// Invoices lists the owner's invoices with the cursor of the next page.
func (s *Service) Invoices(ctx context.Context, owner Owner, p page.Page) ([]Invoice, string, error) {
	rows, err := s.store.Invoices(ctx, owner, p)
	if err != nil {
		return nil, "", err
	}
	invoices, next := page.Cut(p, rows, func(i Invoice) uuid.UUID { return i.ID })
	return invoices, next, nil
}

// Move is a payment or a refund as the caller sent it.
type Move struct {
	InvoiceID   uuid.UUID
	AmountMinor int64
	Key         string // Idempotency-Key
	IfVersion   int64  // etag.Any: no condition
}

func (m Move) key(owner Owner, operation string) idempotency.Key {
	return idempotency.Key{
		UserID: owner.UserID, TenantID: owner.TenantID, Operation: operation, Value: m.Key,
		Hash: idempotency.Hash(m.InvoiceID, m.AmountMinor),
	}
}

// Pay pays the open amount of an invoice of the owner.
func (s *Service) Pay(ctx context.Context, owner Owner, m Move) (Invoice, error) {
	return s.store.Update(ctx, Own(owner), m.InvoiceID, m.key(owner, "pay"), func(i *Invoice) (Change, error) {
		if err := etag.Check(m.IfVersion, i.Version); err != nil {
			return Change{}, err
		}
		return i.Pay(m.AmountMinor, s.now())
	})
}

// Refund pays back. Who holds refund_any may refund every invoice of the
// tenant; everybody else their own, if the decider allows this amount.
func (s *Service) Refund(ctx context.Context, p *authn.Principal, m Move) (Invoice, error) {
	caller := Owner{UserID: p.UserID(), TenantID: p.TenantID()}
	key := m.key(caller, "refund")
	// A repeated call needs no second answer of the decider: it changes nothing.
	if answer, found, err := s.store.Answered(ctx, key); err != nil || found {
		return answer, err
	}
	scope, decided := Own(caller), etag.Any
	if p.Can(EntityInvoice, m.InvoiceID.String(), PermissionRefundAny) == authn.Allow {
		scope = WholeTenant(caller.TenantID)
	} else {
		var err error
		if decided, err = s.ask(ctx, p, scope, m); err != nil {
			return Invoice{}, err
		}
	}
	return s.store.Update(ctx, scope, m.InvoiceID, key, func(i *Invoice) (Change, error) {
		if err := etag.Check(m.IfVersion, i.Version); err != nil {
			return Change{}, err
		}
		if etag.Check(decided, i.Version) != nil {
			return Change{}, ErrChanged // the permission was for another state
		}
		return i.Refund(m.AmountMinor, s.now())
	})
}

// ask has the refund decided and returns the version that the decision is
// about. It runs before the transaction: no lock waits for another server.
func (s *Service) ask(ctx context.Context, p *authn.Principal, scope Scope, m Move) (int64, error) {
	inv, err := s.store.Invoice(ctx, scope, m.InvoiceID)
	if err != nil {
		return 0, err
	}
	if err := etag.Check(m.IfVersion, inv.Version); err != nil {
		return 0, err
	}
	if _, err := inv.Refund(m.AmountMinor, s.now()); err != nil {
		return 0, err // on a copy: what cannot be is not asked for
	}
	version := inv.Version - 1
	return version, s.decider.Decide(ctx, p, refundQuestion(inv))
}
