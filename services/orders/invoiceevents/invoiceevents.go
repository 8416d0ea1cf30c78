// Package invoiceevents is what orders does when it hears from billing.
package invoiceevents

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	billing "github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// Hearer takes in news of an invoice within the event's transaction.
type Hearer interface {
	Hear(ctx context.Context, tx pgx.Tx, inv domain.Invoice, now time.Time) error
}

// NewConsumer binds to the durable of billing's events.
func NewConsumer(js jetstream.JetStream, pool *pgxpool.Pool, h Hearer, now func() time.Time, log *slog.Logger) (*mailbox.Consumer, error) {
	return mailbox.NewConsumer(js, pool, mailbox.ConsumerConfig{
		Stream: streams.Billing, Durable: streams.Durable("orders", "billing"), Logger: log,
		Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error { return handle(ctx, tx, m, h, now) },
	})
}

func handle(ctx context.Context, tx pgx.Tx, m mailbox.Message, h Hearer, now func() time.Time) error {
	switch m.Subject {
	case billing.EventInvoicePaid, billing.EventInvoiceRefunded, billing.EventInvoiceVoided:
	default:
		return nil // billing may tell more than orders needs
	}
	e, err := event.Decode[billing.InvoiceEvent](m)
	if err != nil {
		return err
	}
	if e.Data.OrderID == uuid.Nil || e.Data.InvoiceID == uuid.Nil || e.Data.Version < 1 {
		return mailbox.Poison(errors.New("event names no order, invoice or version"))
	}
	err = h.Hear(ctx, tx, domain.Invoice{
		ID: e.Data.InvoiceID, OrderID: e.Data.OrderID, Status: domain.InvoiceStatus(e.Data.Status), Version: e.Data.Version,
	}, now().UTC().Truncate(time.Microsecond))
	if errors.Is(err, domain.ErrNotFound) {
		// An order is committed before billing hears of it, so waiting cannot help.
		return mailbox.Poison(errors.New("event is about an order that does not exist"))
	}
	return err
}
