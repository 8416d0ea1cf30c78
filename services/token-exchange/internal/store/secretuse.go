package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// SecretUse knows which of the service's own keys the stored values depend on.
type SecretUse struct{ pool *pgxpool.Pool }

// NewSecretUse makes the store.
func NewSecretUse(pool *pgxpool.Pool) *SecretUse { return &SecretUse{pool: pool} }

// Rehash implements rehash.Store.
func (s *SecretUse) Rehash(ctx context.Context, keyID string, fresh keyring.Hashed) error {
	_, err := s.pool.Exec(ctx, `UPDATE api_keys SET hash = $2, hash_key_id = $3 WHERE id = $1`, keyID, fresh.Hash, fresh.KeyID)
	if err != nil {
		return fmt.Errorf("store a new hash of a key: %w", err)
	}
	return nil
}

// Uses counts what depends on which key. API keys that nobody can use any more
// are not counted.
func (s *SecretUse) Uses(ctx context.Context) ([]keyring.Use, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT hash_key_id, 'api_keys', count(*) FROM api_keys
			WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) GROUP BY 1
		UNION ALL SELECT hash_key_id, 'blocks', count(*) FROM blocks WHERE NOT lifted GROUP BY 1
		UNION ALL SELECT encryption_key_id, 'signing_keys', count(*) FROM (
			SELECT encryption_key_id FROM signing_keys UNION ALL SELECT encryption_key_id FROM upstream_keys) AS sealed GROUP BY 1
		ORDER BY 2, 1`)
	if err != nil {
		return nil, fmt.Errorf("count what depends on keys: %w", err)
	}
	uses, err := pgx.CollectRows(rows, pgx.RowToStructByPos[keyring.Use])
	if err != nil {
		return nil, fmt.Errorf("count what depends on keys: %w", err)
	}
	return uses, nil
}
