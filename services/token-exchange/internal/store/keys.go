package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// ErrKeyEnded: the key cannot be rotated any more.
var ErrKeyEnded = errors.New("key has ended")

func key(ctx context.Context, tx pgx.Tx, clientID, keyID, suffix string) (api.APIKey, error) {
	var k api.APIKey
	err := tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys k WHERE k.id = $1 AND k.client_id = $2 `+suffix, keyID, clientID).Scan(keyTargets(&k)...)
	if err != nil {
		return api.APIKey{}, notFound(err, "select a key")
	}
	return k, nil
}

// RotateKey stores a key's successor and lets the key itself end at the deadline,
// or earlier where that was decided before. Of several rotations at once one wins.
func (s *Clients) RotateKey(ctx context.Context, actor, keyID string, next clients.Key, now, deadline time.Time) (api.APIKey, error) {
	stored := next.APIKey
	err := s.change(ctx, change{actor: actor, action: "key.rotate", client: next.ClientID, key: keyID}, func(tx pgx.Tx) error {
		old, err := key(ctx, tx, next.ClientID, keyID, "FOR UPDATE")
		if err != nil {
			return err
		}
		if old.ReplacedBy != "" || (&clients.Key{APIKey: old}).State(now) != "" {
			return ErrKeyEnded
		}
		err = tx.QueryRow(ctx, `INSERT INTO api_keys (id, client_id, hash, hash_key_id, expires_at) VALUES ($1, $2, $3, $4, $5)
			RETURNING created_at`, next.ID, next.ClientID, next.Hash, next.Hashed.KeyID, next.ExpiresAt).Scan(&stored.CreatedAt)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE api_keys SET expires_at = least(expires_at, $2), replaced_by = $3 WHERE id = $1`, keyID, deadline, next.ID)
		return err
	})
	if err != nil {
		return api.APIKey{}, fmt.Errorf("rotate a key: %w", err)
	}
	return stored, nil
}

// errUnchanged ends a change that changes nothing, without a record of it.
var errUnchanged = errors.New("nothing changes")

// Import adds a key that was generated elsewhere. A key that is known stays as
// it is; clients.ErrKeyTaken if it is another client's.
func (s *Clients) Import(ctx context.Context, actor, clientID, keyID string, h keyring.Hashed) (api.APIKey, error) {
	var stored api.APIKey
	err := s.change(ctx, change{actor: actor, action: "key.import", client: clientID, key: keyID}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO api_keys (id, client_id, hash, hash_key_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO NOTHING`, keyID, clientID, h.Hash, h.KeyID)
		if err != nil {
			return err
		}
		stored, err = key(ctx, tx, clientID, keyID, "")
		switch {
		case errors.Is(err, clients.ErrNotFound):
			return clients.ErrKeyTaken
		case err == nil && tag.RowsAffected() == 0:
			return errUnchanged
		}
		return err
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return api.APIKey{}, fmt.Errorf("import a key: %w", err)
	}
	return stored, nil
}

// Put makes a client's registration what it is told, whether or not there was
// one. Block, keys and source of a known client stay.
func (s *Clients) Put(ctx context.Context, actor string, spec api.ClientSpec) (*clients.Client, error) {
	raw, err := encodeSpec(spec)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, change{actor: actor, action: "client.declare", client: spec.ID}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO clients (id, spec, source) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, updated_at = now() WHERE clients.spec <> excluded.spec`, spec.ID, raw, SourceAPI)
		if err == nil && tag.RowsAffected() == 0 {
			return errUnchanged
		}
		return err
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return nil, fmt.Errorf("declare a client: %w", err)
	}
	return s.Client(ctx, spec.ID)
}

// OldKey is a key that is in use for too long.
type OldKey struct {
	KeyID, ClientID, Plan string
	CreatedAt             time.Time
}

// KeysFrom lists the keys that can still be used and were made before a time,
// oldest first.
func (s *Clients) KeysFrom(ctx context.Context, before time.Time, limit int) ([]OldKey, error) {
	rows, err := s.pool.Query(ctx, `SELECT k.id, k.client_id, coalesce(c.spec->>'plan', ''), k.created_at
		FROM api_keys k JOIN clients c ON c.id = k.client_id
		WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND NOT c.blocked AND k.created_at < $1
		ORDER BY k.created_at, k.id LIMIT $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list old keys: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OldKey])
	if err != nil {
		return nil, fmt.Errorf("list old keys: %w", err)
	}
	return list, nil
}
