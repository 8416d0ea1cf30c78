package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/token-exchange/internal/broker"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// UpstreamKeys keeps clients' keys at the upstream issuer, sealed.
type UpstreamKeys struct {
	pool *pgxpool.Pool
	ring *keyring.Ring
}

var _ broker.Keys = (*UpstreamKeys)(nil)

// NewUpstreamKeys makes the store.
func NewUpstreamKeys(pool *pgxpool.Pool, ring *keyring.Ring) *UpstreamKeys {
	return &UpstreamKeys{pool: pool, ring: ring}
}

// bound is what a sealed key belongs to: it opens for no other client.
func bound(clientID string) []byte { return []byte("upstream-key\x00" + clientID) }

// Version implements broker.Keys.
func (s *UpstreamKeys) Version(ctx context.Context, clientID string) (version int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT version FROM upstream_keys WHERE client_id = $1`, clientID).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, broker.ErrNoKey
	}
	if err != nil {
		return 0, fmt.Errorf("select an upstream key's version: %w", err)
	}
	return version, nil
}

// Open implements broker.Keys.
func (s *UpstreamKeys) Open(ctx context.Context, clientID string) (string, int64, error) {
	var sealed []byte
	var keyID string
	var version int64
	err := s.pool.QueryRow(ctx, `SELECT sealed, encryption_key_id, version FROM upstream_keys WHERE client_id = $1`, clientID).Scan(&sealed, &keyID, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", 0, broker.ErrNoKey
	}
	if err != nil {
		return "", 0, fmt.Errorf("select an upstream key: %w", err)
	}
	plain, err := s.ring.Open(keyID, sealed, bound(clientID))
	if err != nil {
		return "", 0, fmt.Errorf("open an upstream key: %w", err)
	}
	return string(plain), version, nil
}

// Reseal seals what older key-encryption keys sealed under the current one.
func (s *UpstreamKeys) Reseal(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `SELECT client_id FROM upstream_keys WHERE encryption_key_id <> $1 ORDER BY client_id`, s.ring.CurrentID())
	if err != nil {
		return fmt.Errorf("list upstream keys: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list upstream keys: %w", err)
	}
	for _, id := range ids {
		key, version, err := s.Open(ctx, id)
		if err != nil {
			return err
		}
		sealed, keyID, err := s.ring.Seal([]byte(key), bound(id))
		if err != nil {
			return fmt.Errorf("seal an upstream key: %w", err)
		}
		if _, err := s.pool.Exec(ctx, `UPDATE upstream_keys SET sealed = $2, encryption_key_id = $3 WHERE client_id = $1 AND version = $4`, id, sealed, keyID, version); err != nil {
			return fmt.Errorf("store an upstream key: %w", err)
		}
	}
	return nil
}

// Set stores a client's upstream key; cached tokens of an older one are not used
// again. clients.ErrNotFound without a client.
func (s *UpstreamKeys) Set(ctx context.Context, actor, clientID, key string) (updated time.Time, err error) {
	sealed, keyID, err := s.ring.Seal([]byte(key), bound(clientID))
	if err != nil {
		return time.Time{}, fmt.Errorf("seal an upstream key: %w", err)
	}
	err = NewClients(s.pool).change(ctx, change{actor: actor, action: "upstream_key.set", client: clientID}, func(tx pgx.Tx) error {
		if _, err := client(ctx, tx, clientID, "FOR SHARE"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO upstream_keys (client_id, sealed, encryption_key_id) VALUES ($1, $2, $3)
			ON CONFLICT (client_id) DO UPDATE SET sealed = excluded.sealed, encryption_key_id = excluded.encryption_key_id,
				version = upstream_keys.version + 1, updated_at = now()
			RETURNING updated_at`, clientID, sealed, keyID).Scan(&updated)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("store an upstream key: %w", err)
	}
	return updated, nil
}

// Updated says when a client's upstream key was set; clients.ErrNotFound where
// there is none.
func (s *UpstreamKeys) Updated(ctx context.Context, clientID string) (at time.Time, err error) {
	err = s.pool.QueryRow(ctx, `SELECT updated_at FROM upstream_keys WHERE client_id = $1`, clientID).Scan(&at)
	if err != nil {
		return time.Time{}, notFound(err, "select an upstream key")
	}
	return at, nil
}

// Remove ends a client's use of the upstream; clients.ErrNotFound where it had none.
func (s *UpstreamKeys) Remove(ctx context.Context, actor, clientID string) error {
	return NewClients(s.pool).change(ctx, change{actor: actor, action: "upstream_key.remove", client: clientID}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM upstream_keys WHERE client_id = $1`, clientID)
		if err == nil && tag.RowsAffected() == 0 {
			return clients.ErrNotFound
		}
		return err
	})
}
