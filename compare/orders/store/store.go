// Package store keeps orders beside a table of users. It differs from
// services/orders/internal/store in four places: an order refers to its user's
// row, no write asks for a tombstone first (the foreign key refuses what the
// tombstone would), names come by JOIN, and a deletion is the database's.
package store

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/services/orders/domain"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is everything that the database of these orders holds.
func Migrations() []migrate.Set {
	return users.Migrations(migrate.Set{Name: "orders", FS: migrations, Dir: "migrations"})
}

// Store is the database of orders.
type Store struct {
	pool       *pgxpool.Pool
	users      *users.Table
	wake       func()
	firstRetry time.Duration
}

var (
	_ domain.Store     = (*Store)(nil)
	_ domain.Backlog   = (*Store)(nil)
	_ domain.Customers = (*Store)(nil)
)

// New makes a store. wake is called after each commit that left an event in the
// outbox. firstRetry is how long an order waits before its invoice is asked for
// again; it must be longer than the first attempt may take.
func New(pool *pgxpool.Pool, table *users.Table, wake func(), firstRetry time.Duration) *Store {
	return &Store{pool: pool, users: table, wake: wake, firstRetry: firstRetry}
}

func (s *Store) transaction(ctx context.Context, fn func(pgx.Tx) error) error {
	return mapped(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn))
}

// checked are the constraints that mirror the domain's own limits, and those
// that refer to a user: their row has gone since the caller was let in.
var checked = map[string]error{
	"orders_currency_form":       domain.ErrCurrency,
	"orders_total_range":         domain.ErrTotal,
	"order_items_sku_form":       domain.ErrItems,
	"order_items_quantity_range": domain.ErrItems,
	"order_items_price_positive": domain.ErrItems,
	"order_items_position_range": domain.ErrItems,
	"orders_user":                domain.ErrUserErased,
	"idempotency_keys_user":      domain.ErrUserErased,
}

// mapped turns what the database refused into what the domain calls it.
func mapped(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.ErrNotFound.Because(err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if known, ok := checked[pg.ConstraintName]; ok {
			return errors.Join(known, err)
		}
	}
	return err
}
