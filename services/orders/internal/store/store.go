// Package store keeps orders in PostgreSQL. Every query that serves a user
// names the owner in its WHERE clause.
package store

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/orders/domain"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is everything that the database of orders holds.
func Migrations() []migrate.Set {
	return []migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		idempotency.Migrations(),
		{Name: "orders", FS: migrations, Dir: "migrations"},
	}
}

// Store is the database of orders.
type Store struct {
	pool       *pgxpool.Pool
	tombstones *participant.Tombstones
	wake       func()
	firstRetry time.Duration
}

var (
	_ domain.Store     = (*Store)(nil)
	_ domain.StaffRows = (*Store)(nil)
	_ domain.Backlog   = (*Store)(nil)
)

// New makes a store. wake is called after each commit that left an event in the
// outbox. firstRetry is how long an order waits before its invoice is asked for
// again; it must be longer than the first attempt may take.
func New(pool *pgxpool.Pool, tombstones *participant.Tombstones, wake func(), firstRetry time.Duration) *Store {
	return &Store{pool: pool, tombstones: tombstones, wake: wake, firstRetry: firstRetry}
}

// write runs fn in a READ COMMITTED transaction that writes under userID: first
// of all, a user who was erased is refused.
func (s *Store) write(ctx context.Context, userID string, fn func(pgx.Tx) error) error {
	return s.transaction(ctx, func(tx pgx.Tx) error {
		if err := s.tombstones.Refuse(ctx, tx, userID); err != nil {
			return err
		}
		return fn(tx)
	})
}

func (s *Store) transaction(ctx context.Context, fn func(pgx.Tx) error) error {
	return mapped(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn))
}

// checked are the constraints that mirror the domain's own limits. Whoever gets
// past those is answered alike.
var checked = map[string]error{
	"orders_currency_form":       domain.ErrCurrency,
	"orders_total_range":         domain.ErrTotal,
	"order_items_sku_form":       domain.ErrItems,
	"order_items_quantity_range": domain.ErrItems,
	"order_items_price_positive": domain.ErrItems,
	"order_items_position_range": domain.ErrItems,
}

// mapped turns what the database refused into what the domain calls it.
func mapped(err error) error {
	if errors.Is(err, participant.ErrErased) {
		return domain.ErrUserErased.Because(err)
	}
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
