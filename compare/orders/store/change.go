package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/orders/api"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// source names orders in its events.
const source = "orders"

const selectForUpdate = `SELECT ` + orderColumns + ` FROM orders WHERE id = $1`

// Cancel implements domain.Store.
func (s *Store) Cancel(ctx context.Context, owner domain.Owner, id uuid.UUID, change func(*domain.Order) (bool, error)) (domain.Order, error) {
	var o domain.Order
	err := s.transaction(ctx, func(tx pgx.Tx) (err error) {
		o, err = one(ctx, tx, selectForUpdate+` AND user_id = $2 AND tenant_id = $3 FOR UPDATE`, id, owner.UserID, owner.TenantID)
		if err != nil {
			return err
		}
		changed, err := change(&o)
		if err != nil || !changed {
			return err
		}
		if err := save(ctx, tx, o); err != nil {
			return err
		}
		message, err := event.Message(source, api.EventOrderCanceled, o.UpdatedAt, api.OrderCanceled{OrderID: o.ID, Version: o.Version})
		if err != nil {
			return err
		}
		return mailbox.Enqueue(ctx, tx, message)
	})
	if err != nil {
		return domain.Order{}, err
	}
	s.wake()
	return o, nil
}

// SetInvoice implements domain.Store. An order whose user was deleted meanwhile
// is gone, which is domain.ErrNotFound.
func (s *Store) SetInvoice(ctx context.Context, orderID, invoiceID uuid.UUID, key *idempotency.Key, now time.Time) (domain.Order, error) {
	var o domain.Order
	err := s.transaction(ctx, func(tx pgx.Tx) (err error) {
		if o, err = one(ctx, tx, selectForUpdate+` FOR UPDATE`, orderID); err != nil {
			return err
		}
		if o.SetInvoice(invoiceID, now) {
			if err := save(ctx, tx, o); err != nil {
				return err
			}
		}
		if key == nil {
			return nil
		}
		return idempotency.Save(ctx, tx, *key, answered(o))
	})
	if err != nil {
		return domain.Order{}, err
	}
	return o, nil
}

// Hear takes in news of an invoice within the transaction of the event. It is
// no fault if the order went with its user before.
func (s *Store) Hear(ctx context.Context, tx pgx.Tx, inv domain.Invoice, now time.Time) error {
	o, err := one(ctx, tx, selectForUpdate+` FOR UPDATE`, inv.OrderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if !o.Hear(inv, now) {
		return nil
	}
	return save(ctx, tx, o)
}

// save writes a changed order, whose row is locked.
func save(ctx context.Context, tx pgx.Tx, o domain.Order) error {
	tag, err := tx.Exec(ctx, `UPDATE orders SET status = $2, invoice_id = $3, invoice_version = $4, version = $5, updated_at = $6
		WHERE id = $1 AND version = $5 - 1`, o.ID, o.Status, o.InvoiceID, o.InvoiceVersion, o.Version, o.UpdatedAt)
	if err != nil {
		return fmt.Errorf("update an order: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errors.New("update an order: the version did not grow by one")
	}
	return nil
}

// Pauses between attempts to have an order invoiced.
const (
	shortestPause = time.Second
	longestPause  = 5 * time.Minute
)

// Uninvoiced implements domain.Backlog. Each attempt doubles the pause, up to
// the longest. It is put off before the attempt, so that an order that crashes
// its worker does not do so in a loop.
func (s *Store) Uninvoiced(ctx context.Context, now time.Time, limit int) ([]domain.Order, error) {
	return read(ctx, s.pool, `UPDATE orders SET invoice_attempts = invoice_attempts + 1,
			invoice_retry_at = $1::timestamptz + make_interval(secs => least($3 * power(2, least(invoice_attempts, 20)), $4))
		WHERE id IN (SELECT id FROM orders WHERE invoice_id IS NULL AND status = 'placed' AND invoice_retry_at <= $1
			ORDER BY invoice_retry_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING `+orderColumns, now, limit, shortestPause.Seconds(), longestPause.Seconds())
}
