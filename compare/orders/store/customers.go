package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/pkg/identity/directory"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// withCustomer is what the other archetype asks a directory for.
const withCustomer = `SELECT o.id, o.tenant_id, o.user_id, o.status, o.currency, o.total_minor, o.invoice_id, o.invoice_version,
		o.version, o.created_at, o.updated_at, u.name, u.avatar_url
	FROM orders o JOIN users u ON u.id = o.user_id `

// OrdersOf implements domain.Customers.
func (s *Store) OrdersOf(ctx context.Context, owner domain.Owner, p page.Page) ([]domain.Order, domain.Profiles, error) {
	return s.joined(ctx, withCustomer+`WHERE o.user_id = $1 AND o.tenant_id = $2 AND ($3::uuid IS NULL OR o.id < $3)
		ORDER BY o.id DESC LIMIT $4`, owner.UserID, owner.TenantID, p.Before, p.Limit+1)
}

// TenantOrders implements domain.Customers.
func (s *Store) TenantOrders(ctx context.Context, tenantID string, p page.Page) ([]domain.Order, domain.Profiles, error) {
	return s.joined(ctx, withCustomer+`WHERE o.tenant_id = $1 AND ($2::uuid IS NULL OR o.id < $2)
		ORDER BY o.id DESC LIMIT $3`, tenantID, p.Before, p.Limit+1)
}

func (s *Store) joined(ctx context.Context, sql string, args ...any) ([]domain.Order, domain.Profiles, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("list orders with customers: %w", err)
	}
	profiles := domain.Profiles{}
	orders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o domain.Order, err error) {
		var p directory.Profile
		err = row.Scan(&o.ID, &o.Owner.TenantID, &o.Owner.UserID, &o.Status, &o.Currency, &o.TotalMinor, &o.InvoiceID, &o.InvoiceVersion,
			&o.Version, &o.CreatedAt, &o.UpdatedAt, &p.Name, &p.AvatarURL)
		o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
		if p.Name != "" { // else the row was made before any profile came
			profiles[o.Owner.UserID] = p
		}
		return o, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list orders with customers: %w", err)
	}
	return orders, profiles, readItems(ctx, s.pool, orders)
}

// Contact implements domain.Customers.
func (s *Store) Contact(ctx context.Context, owner domain.Owner) (*directory.Profile, error) {
	var p directory.Profile
	err := s.pool.QueryRow(ctx, `SELECT name, avatar_url, email FROM users u WHERE id = $1
		AND EXISTS (SELECT FROM orders o WHERE o.user_id = u.id AND o.tenant_id = $2)`, owner.UserID, owner.TenantID).Scan(&p.Name, &p.AvatarURL, &p.Email)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a customer: %w", err)
	}
	return &p, nil
}
