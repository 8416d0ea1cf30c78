// Package store keeps billing's invoices, ledger and statements in PostgreSQL.
// Every query that serves a user names the owner in its WHERE clause.
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

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/billing/domain"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations is everything that billing's database holds.
func Migrations() []migrate.Set {
	return []migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		idempotency.Migrations(),
		{Name: "billing", FS: migrations, Dir: "migrations"},
	}
}

// Constraints that callers can run into.
const (
	constraintBalanced   = "ledger_balanced"
	constraintAppendOnly = "ledger_append_only"
	constraintUserID     = "invoices_user_id_length"
)

// Store is billing's database.
type Store struct {
	pool       *pgxpool.Pool
	tombstones *participant.Tombstones
	wake       func()
}

var _ domain.Store = (*Store)(nil)

// New makes a store. wake is called after each commit that left an event in the
// outbox.
func New(pool *pgxpool.Pool, tombstones *participant.Tombstones, wake func()) *Store {
	return &Store{pool: pool, tombstones: tombstones, wake: wake}
}

// write runs fn in a READ COMMITTED transaction that writes under userID: first
// of all, a user who was erased is refused.
func (s *Store) write(ctx context.Context, userID string, fn func(pgx.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := s.tombstones.Refuse(ctx, tx, userID); err != nil {
			return err
		}
		return fn(tx)
	})
	return mapped(err)
}

// mapped turns what the database refused into what the domain calls it.
func mapped(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, participant.ErrErased) {
		return domain.ErrUserErased.Because(err)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.ErrNotFound.Because(err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.ConstraintName {
		case constraintBalanced, constraintAppendOnly:
			return fmt.Errorf("%w: %w", domain.ErrUnbalanced, err)
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
