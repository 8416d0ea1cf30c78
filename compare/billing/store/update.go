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
	"github.com/shadowless/shadowless/services/billing/domain"
)

// answer is an invoice as it was answered under an idempotency key. It leaves
// out the owner: the key's row has one already.
type answer struct {
	ID            uuid.UUID     `json:"id"`
	OrderID       uuid.UUID     `json:"order_id"`
	Status        domain.Status `json:"status"`
	Currency      string        `json:"currency"`
	AmountMinor   int64         `json:"amount_minor"`
	RefundedMinor int64         `json:"refunded_minor"`
	Version       int64         `json:"version"`
	CreatedAt     time.Time     `json:"created_at"`
	UpdatedAt     time.Time     `json:"updated_at"`
}

func answered(i domain.Invoice) answer {
	return answer{i.ID, i.OrderID, i.Status, i.Currency, i.AmountMinor, i.RefundedMinor, i.Version, i.CreatedAt, i.UpdatedAt}
}

func (a answer) invoice() domain.Invoice {
	return domain.Invoice{
		ID: a.ID, OrderID: a.OrderID, Status: a.Status, Currency: a.Currency, AmountMinor: a.AmountMinor,
		RefundedMinor: a.RefundedMinor, Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

func decodeAnswer(raw []byte) (domain.Invoice, error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return domain.Invoice{}, fmt.Errorf("decode a stored answer: %w", err)
	}
	return a.invoice(), nil
}

// Answered implements domain.Store.
func (s *Store) Answered(ctx context.Context, key idempotency.Key) (domain.Invoice, bool, error) {
	raw, err := idempotency.Answer(ctx, s.pool, key)
	if err != nil || raw == nil {
		return domain.Invoice{}, false, err
	}
	inv, err := decodeAnswer(raw)
	return inv, err == nil, err
}

// Update implements domain.Store.
func (s *Store) Update(ctx context.Context, scope domain.Scope, id uuid.UUID, key idempotency.Key, change domain.ChangeFunc) (domain.Invoice, error) {
	var updated domain.Invoice
	err := s.transaction(ctx, func(tx pgx.Tx) error {
		raw, err := idempotency.Claim(ctx, tx, key)
		if err != nil {
			return err
		}
		if raw != nil {
			updated, err = decodeAnswer(raw)
			return err
		}
		sql, args := scoped(`SELECT `+invoiceColumns+` FROM invoices`, scope, id)
		if updated, err = one(ctx, tx, sql+` FOR UPDATE`, args...); err != nil {
			return err
		}
		left, err := change(&updated)
		if err != nil {
			return err
		}
		if err := save(ctx, tx, updated, left); err != nil {
			return err
		}
		return idempotency.Save(ctx, tx, key, answered(updated))
	})
	if err != nil {
		if errors.Is(err, domain.ErrUserErased) {
			s.users.Forget(key.UserID)
		}
		return domain.Invoice{}, err
	}
	s.wake()
	return updated, nil
}

// CancelOrder follows an order's cancellation within the transaction of the
// event: its invoice is canceled, or, where there is none yet, the cancellation
// is remembered for the one that may come.
func (s *Store) CancelOrder(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, now time.Time) error {
	if err := lockOrder(ctx, tx, orderID); err != nil {
		return err
	}
	inv, err := one(ctx, tx, `SELECT `+invoiceColumns+` FROM invoices WHERE order_id = $1 FOR UPDATE`, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err := tx.Exec(ctx, `INSERT INTO canceled_orders (order_id, canceled_at) VALUES ($1, $2)
			ON CONFLICT ON CONSTRAINT canceled_orders_pkey DO NOTHING`, orderID, now)
		if err != nil {
			return fmt.Errorf("remember a cancellation: %w", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	change, changed := inv.Cancel(now)
	if !changed {
		return nil
	}
	return mapped(save(ctx, tx, inv, change))
}

// save writes a changed invoice, whose row is locked, and what follows.
func save(ctx context.Context, tx pgx.Tx, i domain.Invoice, change domain.Change) error {
	tag, err := tx.Exec(ctx, `UPDATE invoices SET status = $2, refunded_minor = $3, version = $4, updated_at = $5
		WHERE id = $1 AND version = $4 - 1`, i.ID, i.Status, i.RefundedMinor, i.Version, i.UpdatedAt)
	if err != nil {
		return fmt.Errorf("update an invoice: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return errors.New("update an invoice: the version did not grow by one")
	}
	return record(ctx, tx, i, change)
}
