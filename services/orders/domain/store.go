package domain

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/pkg/authn"
)

// Store keeps orders. Every method that serves a user takes the owner, and what
// is somebody else's does not exist for them. A write under the ID of an erased
// user is ErrUserErased.
type Store interface {
	// Place writes a new order, once per key: a repeated call returns the first
	// one's answer and true.
	Place(ctx context.Context, o Order, key idempotency.Key) (Order, bool, error)
	// SetInvoice remembers an order's invoice, and in the answer of the key that
	// it was placed under, if there is one.
	SetInvoice(ctx context.Context, orderID, invoiceID uuid.UUID, key *idempotency.Key, now time.Time) (Order, error)
	// Order returns one order, or ErrNotFound.
	Order(ctx context.Context, owner Owner, id uuid.UUID) (Order, error)
	// Orders returns up to p.Limit+1 of the owner's orders, newest first.
	Orders(ctx context.Context, owner Owner, p page.Page) ([]Order, error)
	// Cancel runs change on the order and writes it, with the news for others,
	// where change reports true. It returns ErrNotFound and what change returns.
	Cancel(ctx context.Context, owner Owner, id uuid.UUID, change func(*Order) (bool, error)) (Order, error)
}

// Backlog is the orders that wait for their invoice.
type Backlog interface {
	// Uninvoiced takes up to limit placed orders without an invoice whose time
	// has come, and puts off their next turn, so that replicas share the work.
	Uninvoiced(ctx context.Context, now time.Time, limit int) ([]Order, error)
}

// Invoicer has billing make an order's invoice on behalf of its caller.
type Invoicer interface {
	Invoice(ctx context.Context, p *authn.Principal, o Order) (uuid.UUID, error)
}
