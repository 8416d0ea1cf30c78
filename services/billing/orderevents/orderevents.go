// Package orderevents is what billing does when it hears from orders.
package orderevents

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
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// Canceler follows an order's cancellation within the event's transaction.
type Canceler interface {
	CancelOrder(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, now time.Time) error
}

// NewConsumer binds to billing's durable of orders' events. wake is called
// after each applied event.
func NewConsumer(js jetstream.JetStream, pool *pgxpool.Pool, c Canceler, now func() time.Time, wake func(), log *slog.Logger) (*mailbox.Consumer, error) {
	return mailbox.NewConsumer(js, pool, mailbox.ConsumerConfig{
		Stream: streams.Orders, Durable: streams.Durable("billing", "orders"), OnCommit: wake, Logger: log,
		Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error { return handle(ctx, tx, m, c, now) },
	})
}

func handle(ctx context.Context, tx pgx.Tx, m mailbox.Message, c Canceler, now func() time.Time) error {
	if m.Subject != ordersapi.EventOrderCanceled {
		return nil // orders may tell more than billing needs
	}
	e, err := event.Decode[ordersapi.OrderCanceled](m)
	if err != nil {
		return err
	}
	if e.Data.OrderID == uuid.Nil {
		return mailbox.Poison(errors.New("event names no order"))
	}
	return c.CancelOrder(ctx, tx, e.Data.OrderID, now().UTC().Truncate(time.Microsecond))
}
