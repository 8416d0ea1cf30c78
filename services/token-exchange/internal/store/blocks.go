package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/token-exchange/internal/blocks"
)

// Blocks keeps who may get no token.
type Blocks struct{ pool *pgxpool.Pool }

var _ blocks.Store = (*Blocks)(nil)

// NewBlocks makes the store.
func NewBlocks(pool *pgxpool.Pool) *Blocks { return &Blocks{pool: pool} }

// Put applies a change unless a later version was applied before.
func (s *Blocks) Put(ctx context.Context, tx pgx.Tx, b blocks.Block) error {
	_, err := tx.Exec(ctx, `INSERT INTO blocks (user_hash, kind, hash_key_id, version, lifted) VALUES ($1, $2, $3, $4::text::numeric, $5)
		ON CONFLICT (user_hash, kind) DO UPDATE SET version = excluded.version, lifted = excluded.lifted, changed_at = now()
		WHERE blocks.version < excluded.version`, b.UserHash, b.Kind, b.HashKeyID, strconv.FormatUint(b.Version, 10), b.Lifted)
	if err != nil {
		return fmt.Errorf("upsert a block: %w", err)
	}
	return nil
}

// Any reports whether a block that is not lifted exists under any hash.
func (s *Blocks) Any(ctx context.Context, hashes [][]byte) (bool, error) {
	var blocked bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM blocks WHERE user_hash = ANY($1) AND NOT lifted)`, hashes).Scan(&blocked)
	if err != nil {
		return false, fmt.Errorf("look for a block: %w", err)
	}
	return blocked, nil
}
