package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// answer is an order as it was answered under an idempotency key. It leaves out
// the owner: the key's row has one already.
type answer struct {
	ID         uuid.UUID     `json:"id"`
	Status     domain.Status `json:"status"`
	Currency   string        `json:"currency"`
	TotalMinor int64         `json:"total_minor"`
	Items      []domain.Item `json:"items"`
	InvoiceID  *uuid.UUID    `json:"invoice_id"`
	Version    int64         `json:"version"`
	CreatedAt  time.Time     `json:"created_at"`
	UpdatedAt  time.Time     `json:"updated_at"`
}

func answered(o domain.Order) answer {
	return answer{o.ID, o.Status, o.Currency, o.TotalMinor, o.Items, o.InvoiceID, o.Version, o.CreatedAt, o.UpdatedAt}
}

func (a answer) order(owner domain.Owner) domain.Order {
	return domain.Order{
		ID: a.ID, Owner: owner, Status: a.Status, Currency: a.Currency, TotalMinor: a.TotalMinor, Items: a.Items,
		InvoiceID: a.InvoiceID, Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

// Place implements domain.Store.
func (s *Store) Place(ctx context.Context, o domain.Order, key idempotency.Key) (placed domain.Order, repeated bool, err error) {
	err = s.transaction(ctx, func(tx pgx.Tx) error {
		raw, err := idempotency.Claim(ctx, tx, key)
		if err != nil {
			return err
		}
		if raw != nil {
			var a answer
			if err := json.Unmarshal(raw, &a); err != nil {
				return fmt.Errorf("decode a stored answer: %w", err)
			}
			placed, repeated = a.order(o.Owner), true
			return nil
		}
		if err := s.insert(ctx, tx, o); err != nil {
			return err
		}
		placed = o
		return idempotency.Save(ctx, tx, key, answered(o))
	})
	if err != nil {
		if errors.Is(err, domain.ErrUserErased) {
			s.users.Forget(o.Owner.UserID)
		}
		return domain.Order{}, false, err
	}
	return placed, repeated, nil
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, o domain.Order) error {
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO orders (`+orderColumns+`, invoice_retry_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		o.ID, o.Owner.TenantID, o.Owner.UserID, o.Status, o.Currency, o.TotalMinor, o.InvoiceID, o.InvoiceVersion,
		o.Version, o.CreatedAt, o.UpdatedAt, o.CreatedAt.Add(s.firstRetry))
	for n, item := range o.Items {
		batch.Queue(`INSERT INTO order_items (order_id, position, sku, quantity, unit_price_minor) VALUES ($1, $2, $3, $4, $5)`,
			o.ID, n+1, item.SKU, item.Quantity, item.UnitPriceMinor)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("insert an order: %w", err)
	}
	return nil
}
