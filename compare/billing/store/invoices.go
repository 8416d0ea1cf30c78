package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/services/billing/domain"
)

const (
	insertColumns = `id, order_id, user_id, tenant_id, status, currency, amount_minor, refunded_minor, version, created_at, updated_at`
	// A deleted user leaves an invoice of nobody.
	invoiceColumns = `id, coalesce(order_id, '00000000-0000-0000-0000-000000000000'), coalesce(user_id, ''), tenant_id, status, currency, amount_minor, refunded_minor, version, created_at, updated_at`
)

func scanInvoice(row pgx.CollectableRow) (domain.Invoice, error) {
	var i domain.Invoice
	err := row.Scan(&i.ID, &i.OrderID, &i.Owner.UserID, &i.Owner.TenantID, &i.Status, &i.Currency,
		&i.AmountMinor, &i.RefundedMinor, &i.Version, &i.CreatedAt, &i.UpdatedAt)
	i.CreatedAt, i.UpdatedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC()
	return i, err
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func one(ctx context.Context, db querier, sql string, args ...any) (domain.Invoice, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return domain.Invoice{}, fmt.Errorf("read an invoice: %w", err)
	}
	inv, err := pgx.CollectExactlyOneRow(rows, scanInvoice)
	if err != nil {
		return domain.Invoice{}, fmt.Errorf("read an invoice: %w", err)
	}
	return inv, nil
}

// Create implements domain.Store.
func (s *Store) Create(ctx context.Context, inv domain.Invoice, change domain.Change) (domain.Invoice, error) {
	stored := inv
	err := s.transaction(ctx, func(tx pgx.Tx) error {
		// orders may know the user before this table does.
		if err := s.users.Ensure(ctx, tx, inv.Owner.UserID); err != nil {
			return err
		}
		if err := lockOrder(ctx, tx, inv.OrderID); err != nil {
			return err
		}
		existing, err := one(ctx, tx, `SELECT `+invoiceColumns+` FROM invoices WHERE order_id = $1`, inv.OrderID)
		if err == nil {
			stored = existing
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var canceled bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM canceled_orders WHERE order_id = $1)`, inv.OrderID).Scan(&canceled); err != nil {
			return fmt.Errorf("look for a cancellation: %w", err)
		}
		if canceled {
			change = stored.VoidAtBirth()
		}
		if err := insert(ctx, tx, stored); err != nil {
			return err
		}
		return record(ctx, tx, stored, change)
	})
	if err != nil {
		return domain.Invoice{}, err
	}
	return stored, nil
}

func insert(ctx context.Context, tx pgx.Tx, i domain.Invoice) error {
	_, err := tx.Exec(ctx, `INSERT INTO invoices (`+insertColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		i.ID, i.OrderID, i.Owner.UserID, i.Owner.TenantID, i.Status, i.Currency, i.AmountMinor, i.RefundedMinor,
		i.Version, i.CreatedAt, i.UpdatedAt)
	if err != nil {
		return fmt.Errorf("insert an invoice: %w", err)
	}
	return nil
}

// scoped adds the scope to a query whose first argument is the invoice's ID.
func scoped(sql string, scope domain.Scope, id uuid.UUID) (string, []any) {
	if scope.Everybody {
		return sql + ` WHERE id = $1 AND tenant_id = $2`, []any{id, scope.TenantID}
	}
	return sql + ` WHERE id = $1 AND tenant_id = $2 AND user_id = $3`, []any{id, scope.TenantID, scope.UserID}
}

// Invoice implements domain.Store.
func (s *Store) Invoice(ctx context.Context, scope domain.Scope, id uuid.UUID) (domain.Invoice, error) {
	sql, args := scoped(`SELECT `+invoiceColumns+` FROM invoices`, scope, id)
	inv, err := one(ctx, s.pool, sql, args...)
	return inv, mapped(err)
}

// Invoices implements domain.Store.
func (s *Store) Invoices(ctx context.Context, owner domain.Owner, p page.Page) ([]domain.Invoice, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+invoiceColumns+` FROM invoices
		WHERE user_id = $1 AND tenant_id = $2 AND ($3::uuid IS NULL OR id < $3)
		ORDER BY id DESC LIMIT $4`, owner.UserID, owner.TenantID, p.Before, p.Limit+1)
	if err != nil {
		return nil, fmt.Errorf("list invoices: %w", err)
	}
	invoices, err := pgx.CollectRows(rows, scanInvoice)
	if err != nil {
		return nil, fmt.Errorf("list invoices: %w", err)
	}
	return invoices, nil
}
