// Package shop calls orders and billing with a user's own token. The console
// decides nothing here: whose an order is and what may be done with it is for
// those services to say, and their sentences are shown as they are.
package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
	billing "github.com/shadowless/shadowless/services/billing/api"
	orders "github.com/shadowless/shadowless/services/orders/api"
)

// callTimeout bounds one call; a page that waits longer is worse than one that
// says so.
const callTimeout = 4 * time.Second

// listed is how many orders the page shows.
const listed = 20

// What can go wrong besides a service's own refusal.
var (
	// ErrProduct: the shelf has no such product or not that many.
	ErrProduct = errors.New("no such product or quantity")
	// ErrNoInvoice: the order's invoice is still being made.
	ErrNoInvoice = errors.New("the order has no invoice yet")
	// ErrUnreachable: a service gave no answer; whether it acted is unknown, and
	// the same form can be sent again.
	ErrUnreachable = errors.New("service is unreachable")
)

// Shop is the pair of services. It is safe for concurrent use.
type Shop struct {
	orders  *orders.Client
	billing *billing.Client
}

// New makes a Shop.
func New(ordersURL, billingURL string, client *http.Client) (*Shop, error) {
	o, err := orders.NewClient(ordersURL, client)
	if err != nil {
		return nil, fmt.Errorf("CONSOLE_ORDERS_URL: %w", err)
	}
	b, err := billing.NewClient(billingURL, client)
	if err != nil {
		return nil, fmt.Errorf("CONSOLE_BILLING_URL: %w", err)
	}
	return &Shop{orders: o, billing: b}, nil
}

// Orders lists the user's latest orders.
func (s *Shop) Orders(ctx context.Context, bearer string) ([]orders.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := s.orders.Orders(ctx, bearer, listed, "")
	return page.Orders, fault("list orders", err)
}

// Place orders one product of the shelf. The key makes a form that is sent twice
// one order.
func (s *Shop) Place(ctx context.Context, bearer, key, sku string, quantity int) error {
	p, ok := product(sku)
	if !ok || quantity < 1 || quantity > MaxQuantity {
		return ErrProduct
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.orders.Place(ctx, bearer, key, orders.NewOrder{
		Currency: Currency, Items: []orders.Item{{SKU: p.SKU, Quantity: int64(quantity), UnitPriceMinor: p.PriceMinor}},
	})
	return fault("place an order", err)
}

// Cancel cancels an order that was not paid.
func (s *Shop) Cancel(ctx context.Context, bearer string, id uuid.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.orders.Cancel(ctx, bearer, id, 0)
	return fault("cancel an order", err)
}

// Pay pays the whole invoice of an order.
func (s *Shop) Pay(ctx context.Context, bearer, key string, order uuid.UUID) error {
	return s.settle(ctx, bearer, key, order, s.billing.Pay)
}

// Refund asks for the whole amount of a paid order back.
func (s *Shop) Refund(ctx context.Context, bearer, key string, order uuid.UUID) error {
	return s.settle(ctx, bearer, key, order, s.billing.Refund)
}

type move func(ctx context.Context, bearer, key string, invoice uuid.UUID, amountMinor, version int64) (billing.Invoice, error)

// settle reads the order again: what the form says about amounts is not trusted.
func (s *Shop) settle(ctx context.Context, bearer, key string, id uuid.UUID, move move) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	order, err := s.orders.Order(ctx, bearer, id)
	if err != nil {
		return fault("read the order", err)
	}
	if order.InvoiceID == nil {
		return ErrNoInvoice
	}
	_, err = move(ctx, bearer, key, *order.InvoiceID, order.TotalMinor, 0)
	return fault("move money", err)
}

func fault(doing string, err error) error {
	var refusal *apiclient.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return fmt.Errorf("%s: %w", doing, err)
	default:
		return fmt.Errorf("%s: %w: %w", doing, ErrUnreachable, err)
	}
}
