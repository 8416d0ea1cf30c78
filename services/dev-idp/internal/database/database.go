// Package database names what the stores need of PostgreSQL: the same query
// runs on a pool or inside a transaction.
package database

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Violates says whether err is the violation of the named constraint.
func Violates(err error, constraint string) bool {
	fault, ok := errors.AsType[*pgconn.PgError](err)
	return ok && fault.ConstraintName == constraint
}
