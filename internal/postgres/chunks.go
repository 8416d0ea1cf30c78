package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

// Chunk is how many rows a statement of InChunks changes at most.
const Chunk = 10_000

// Execer is a pool or a connection.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// InChunks repeats a statement until it changes less than a chunk. However many
// rows there are, each time ends before statement_timeout, and what it has done
// stays done. The statement's last parameter, after args, is its LIMIT.
func InChunks(ctx context.Context, db Execer, sql string, args ...any) error {
	args = append(args[:len(args):len(args)], Chunk)
	for {
		tag, err := db.Exec(ctx, sql, args...)
		if err != nil || tag.RowsAffected() < Chunk {
			return err
		}
	}
}
