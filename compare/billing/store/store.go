// Package store keeps invoices, ledger and statements beside a table of users.
// It differs from services/billing/internal/store in what a row of a user is to
// it: statements go with them, and invoices, which the law keeps, lose their name.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/services/billing/domain"
)

//go:embed migrations/*.sql migrations/one_database/*.sql
var migrations embed.FS

// Migrations is everything that this billing's database holds. In one database
// with orders an invoice also refers to its order.
func Migrations(oneDatabase bool) []migrate.Set {
	own := []migrate.Set{{Name: "billing", FS: migrations, Dir: "migrations"}}
	if oneDatabase {
		own = append(own, migrate.Set{Name: "billing_orders", FS: migrations, Dir: "migrations/one_database"})
	}
	return users.Migrations(own...)
}

// Constraints that callers can run into.
const (
	constraintBalanced   = "ledger_balanced"
	constraintAppendOnly = "ledger_append_only"
	constraintUserID     = "users_id_length"
)

// Store is billing's database.
type Store struct {
	pool  *pgxpool.Pool
	users *users.Table
	wake  func()
}

var _ domain.Store = (*Store)(nil)

// New makes a store. wake is called after each commit that left an event in the
// outbox.
func New(pool *pgxpool.Pool, table *users.Table, wake func()) *Store {
	return &Store{pool: pool, users: table, wake: wake}
}

func (s *Store) transaction(ctx context.Context, fn func(pgx.Tx) error) error {
	return mapped(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn))
}

// mapped turns what the database refused into what the domain calls it.
func mapped(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, users.ErrDeleted) {
		return domain.ErrUserErased.Because(err)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.ErrNotFound.Because(err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.ConstraintName {
		case constraintBalanced, constraintAppendOnly:
			return fmt.Errorf("%w: %w", domain.ErrUnbalanced, err)
		case "invoices_user", "statements_user", "idempotency_keys_user":
			return domain.ErrUserErased.Because(err)
		case constraintUserID:
			return domain.ErrInvalid.Because(err)
		}
	}
	return err
}

// lockOrder makes an order's invoice and its cancellation wait for each other;
// neither has a row that the other could lock.
func lockOrder(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('billing order ' || $1::text, 0))`, orderID.String())
	if err != nil {
		return fmt.Errorf("lock the order: %w", err)
	}
	return nil
}
