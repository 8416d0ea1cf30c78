// Package apikeys keeps the API keys of clients, hashed.
package apikeys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

// ErrNotFound is an unknown key.
var ErrNotFound = errors.New("no such API key")

// Key is one API key. ClientID is its scope metadata; "" is a key without any.
type Key struct {
	ID         string
	OwnerID    string
	ClientID   string
	FullAccess bool
}

// Sync stores the configured keys. A key whose owner has no account is left out
// with a warning: without an owner there is no `sub` for its tokens.
func Sync(ctx context.Context, db database.Querier, keys []settings.APIKey, now time.Time, log *slog.Logger) error {
	for _, key := range keys {
		hash := sha256.Sum256([]byte(key.Key.Value))
		tag, err := db.Exec(ctx, `INSERT INTO api_keys (id, key_hash, owner_id, client_id, full_access, created_at)
			SELECT $1, $2, id, nullif($4, ''), $5, $6 FROM users WHERE email = lower($3)
			ON CONFLICT (id) DO UPDATE SET key_hash = excluded.key_hash, owner_id = excluded.owner_id,
				client_id = excluded.client_id, full_access = excluded.full_access`,
			key.ID, hash[:], key.OwnerEmail, key.Client, key.FullAccess, now)
		if err != nil {
			return fmt.Errorf("store the API key %s: %w", key.ID, err)
		}
		if tag.RowsAffected() == 0 {
			log.Warn("an API key has no owner and is not in use", "key", key.ID)
		}
	}
	return nil
}

// Find looks a key up by its secret. Error: ErrNotFound.
func Find(ctx context.Context, db database.Querier, secret string) (Key, error) {
	hash := sha256.Sum256([]byte(secret))
	var key Key
	err := db.QueryRow(ctx, `SELECT id, owner_id, coalesce(client_id, ''), full_access FROM api_keys WHERE key_hash = $1`, hash[:]).
		Scan(&key.ID, &key.OwnerID, &key.ClientID, &key.FullAccess)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, ErrNotFound
	}
	if err != nil {
		return Key{}, fmt.Errorf("find an API key: %w", err)
	}
	return key, nil
}
