package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/billing/domain"
)

// Customers returns up to limit owners of invoices of the month, in order,
// behind after.
func (s *Store) Customers(ctx context.Context, month time.Time, after domain.Owner, limit int) ([]domain.Owner, error) {
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT user_id, tenant_id FROM invoices
		WHERE user_id IS NOT NULL AND created_at >= $1 AND created_at < $2 AND (user_id, tenant_id) > ($3, $4)
		ORDER BY user_id, tenant_id LIMIT $5`, month, month.AddDate(0, 1, 0), after.UserID, after.TenantID, limit)
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowToStructByPos[domain.Owner])
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	return owners, nil
}

// WriteStatement computes one customer's month. It reports false for a user who
// was deleted since they were listed.
func (s *Store) WriteStatement(ctx context.Context, owner domain.Owner, month, now time.Time) (bool, error) {
	err := s.transaction(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO statements
				(user_id, tenant_id, month, currency, invoices, invoiced_minor, paid_minor, refunded_minor, computed_at)
			SELECT user_id, tenant_id, ($3::timestamptz AT TIME ZONE 'UTC')::date, currency, count(*),
				coalesce(sum(amount_minor) FILTER (WHERE status <> 'void'), 0),
				coalesce(sum(amount_minor) FILTER (WHERE status IN ('paid', 'refunded')), 0),
				sum(refunded_minor), $5
			FROM invoices
			WHERE user_id = $1 AND tenant_id = $2 AND created_at >= $3::timestamptz AND created_at < $4::timestamptz
			GROUP BY user_id, tenant_id, currency
			ON CONFLICT ON CONSTRAINT statements_once DO UPDATE SET
				invoices = excluded.invoices, invoiced_minor = excluded.invoiced_minor, paid_minor = excluded.paid_minor,
				refunded_minor = excluded.refunded_minor, computed_at = excluded.computed_at`,
			owner.UserID, owner.TenantID, month, month.AddDate(0, 1, 0), now)
		if err != nil {
			return fmt.Errorf("write a statement: %w", err)
		}
		return nil
	})
	if errors.Is(err, domain.ErrUserErased) {
		return false, nil
	}
	return err == nil, err
}
