package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/services/orders/domain"
)

const orderColumns = `id, tenant_id, user_id, status, currency, total_minor, invoice_id, invoice_version, version, created_at, updated_at`

func scanOrder(row pgx.CollectableRow) (domain.Order, error) {
	var o domain.Order
	err := row.Scan(&o.ID, &o.Owner.TenantID, &o.Owner.UserID, &o.Status, &o.Currency, &o.TotalMinor,
		&o.InvoiceID, &o.InvoiceVersion, &o.Version, &o.CreatedAt, &o.UpdatedAt)
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return o, err
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// read returns the orders of a query with their items, in two queries.
func read(ctx context.Context, db querier, sql string, args ...any) ([]domain.Order, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	orders, err := pgx.CollectRows(rows, scanOrder)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	if err := readItems(ctx, db, orders); err != nil {
		return nil, err
	}
	return orders, nil
}

func readItems(ctx context.Context, db querier, orders []domain.Order) error {
	ids := make([]uuid.UUID, len(orders))
	at := make(map[uuid.UUID]int, len(orders))
	for n, o := range orders {
		ids[n], at[o.ID] = o.ID, n
	}
	rows, err := db.Query(ctx, `SELECT order_id, sku, quantity, unit_price_minor FROM order_items
		WHERE order_id = ANY($1) ORDER BY order_id, position`, ids)
	if err != nil {
		return fmt.Errorf("read items: %w", err)
	}
	var id uuid.UUID
	var item domain.Item
	_, err = pgx.ForEachRow(rows, []any{&id, &item.SKU, &item.Quantity, &item.UnitPriceMinor}, func() error {
		o := &orders[at[id]]
		o.Items = append(o.Items, item)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read items: %w", err)
	}
	return nil
}

// one is read for a query of at most one order.
func one(ctx context.Context, db querier, sql string, args ...any) (domain.Order, error) {
	orders, err := read(ctx, db, sql, args...)
	if err != nil {
		return domain.Order{}, err
	}
	if len(orders) == 0 {
		return domain.Order{}, fmt.Errorf("read an order: %w", pgx.ErrNoRows)
	}
	return orders[0], nil
}

// Order implements domain.Store.
func (s *Store) Order(ctx context.Context, owner domain.Owner, id uuid.UUID) (domain.Order, error) {
	o, err := one(ctx, s.pool, `SELECT `+orderColumns+` FROM orders WHERE id = $1 AND user_id = $2 AND tenant_id = $3`,
		id, owner.UserID, owner.TenantID)
	return o, mapped(err)
}

// Orders implements domain.Store.
func (s *Store) Orders(ctx context.Context, owner domain.Owner, p page.Page) ([]domain.Order, error) {
	return read(ctx, s.pool, `SELECT `+orderColumns+` FROM orders
		WHERE user_id = $1 AND tenant_id = $2 AND ($3::uuid IS NULL OR id < $3)
		ORDER BY id DESC LIMIT $4`, owner.UserID, owner.TenantID, p.Before, p.Limit+1)
}
