package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Sources of a registration.
const (
	SourceFile = "file"
	SourceAPI  = "api"
)

// ErrExists: the client ID is taken.
var ErrExists = errors.New("client exists")

// Clients keeps registrations and API keys.
type Clients struct {
	pool    *pgxpool.Pool
	changed func()
}

// NewClients makes the store.
func NewClients(pool *pgxpool.Pool) *Clients { return &Clients{pool: pool, changed: func() {}} }

// OnChange has fn called after every change that an operator makes here.
func (s *Clients) OnChange(fn func()) { s.changed = fn }

const (
	clientColumns = `c.id, c.spec, c.source, c.blocked, c.block_reason, c.created_at, c.updated_at`
	keyColumns    = `k.id, k.client_id, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, coalesce(k.replaced_by, '')`
)

func clientTargets(c *clients.Client) []any {
	return []any{&c.ID, &c.Encoded, &c.Source, &c.Blocked, &c.BlockReason, &c.CreatedAt, &c.UpdatedAt}
}

func keyTargets(k *api.APIKey) []any {
	return []any{&k.ID, &k.ClientID, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt, &k.LastUsedAt, &k.ReplacedBy}
}

func encodeSpec(s api.ClientSpec) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode a registration: %w", err)
	}
	return raw, nil
}

// KeyByID finds a key and its client in one query. The client's registration is
// not decoded: most look-ups of strangers need none.
func (s *Clients) KeyByID(ctx context.Context, id string) (*clients.Key, *clients.Client, error) {
	k, c := &clients.Key{}, &clients.Client{}
	targets := append(keyTargets(&k.APIKey), &k.Hash, &k.Hashed.KeyID)
	targets = append(targets, clientTargets(c)...)
	err := s.pool.QueryRow(ctx, `SELECT `+keyColumns+`, k.hash, k.hash_key_id, `+clientColumns+`
		FROM api_keys k JOIN clients c ON c.id = k.client_id WHERE k.id = $1`, id).Scan(targets...)
	if err != nil {
		return nil, nil, notFound(err, "select a key")
	}
	return k, c, nil
}

// Client returns one client or clients.ErrNotFound.
func (s *Clients) Client(ctx context.Context, id string) (*clients.Client, error) {
	return client(ctx, s.pool, id, "")
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func client(ctx context.Context, q querier, id, suffix string) (*clients.Client, error) {
	c := &clients.Client{}
	err := q.QueryRow(ctx, `SELECT `+clientColumns+` FROM clients c WHERE c.id = $1 `+suffix, id).Scan(clientTargets(c)...)
	if err != nil {
		return nil, notFound(err, "select a client")
	}
	return c, c.Decode()
}

// List returns every client by ID.
func (s *Clients) List(ctx context.Context) ([]clients.Client, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+clientColumns+` FROM clients c ORDER BY c.id`)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (clients.Client, error) {
		var c clients.Client
		if err := row.Scan(clientTargets(&c)...); err != nil {
			return c, err
		}
		return c, c.Decode()
	})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	return list, nil
}

// Create registers a client through the API; ErrExists if the ID is taken.
func (s *Clients) Create(ctx context.Context, actor string, spec api.ClientSpec) (*clients.Client, error) {
	raw, err := encodeSpec(spec)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, change{actor: actor, action: "client.create", client: spec.ID}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO clients (id, spec, source) VALUES ($1, $2, $3)`, spec.ID, raw, SourceAPI)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.ConstraintName == "clients_pkey" {
			return ErrExists
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("insert a client: %w", err)
	}
	return s.Client(ctx, spec.ID)
}

// Update lets edit change a client that no one else changes meanwhile.
func (s *Clients) Update(ctx context.Context, actor, id string, edit func(*clients.Client) error) (*clients.Client, error) {
	var updated *clients.Client
	err := s.change(ctx, change{actor: actor, action: "client.change", client: id}, func(tx pgx.Tx) error {
		c, err := client(ctx, tx, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		blocked := c.Blocked
		if err := edit(c); err != nil {
			return err
		}
		if c.Blocked && !blocked {
			if err := endClient(ctx, tx, id); err != nil {
				return err
			}
		}
		raw, err := encodeSpec(c.ClientSpec)
		if err != nil {
			return err
		}
		updated = c
		return tx.QueryRow(ctx, `UPDATE clients SET spec = $2, blocked = $3, block_reason = $4, updated_at = now()
			WHERE id = $1 RETURNING updated_at`, id, raw, c.Blocked, c.BlockReason).Scan(&c.UpdatedAt)
	})
	if err != nil {
		return nil, fmt.Errorf("update a client: %w", err)
	}
	return updated, nil
}

// Declare brings a client of the file up to its declaration. A block stays.
func (s *Clients) Declare(ctx context.Context, spec api.ClientSpec) error {
	raw, err := encodeSpec(spec)
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, `INSERT INTO clients (id, spec, source) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, source = excluded.source, updated_at = now()
		WHERE clients.spec <> excluded.spec OR clients.source <> excluded.source`, spec.ID, raw, SourceFile)
	if err != nil {
		return fmt.Errorf("upsert a client: %w", registered(err))
	}
	return nil
}

// ImportKey adds a key that was generated elsewhere by its hash.
func (s *Clients) ImportKey(ctx context.Context, clientID, keyID string, h keyring.Hashed) error {
	tag, err := s.pool.Exec(ctx, `INSERT INTO api_keys (id, client_id, hash, hash_key_id) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, hash_key_id = excluded.hash_key_id
		WHERE api_keys.client_id = excluded.client_id`, keyID, clientID, h.Hash, h.KeyID)
	if err != nil {
		return fmt.Errorf("upsert a key: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return clients.ErrKeyTaken
	}
	return nil
}

// Keys lists a client's keys, newest first; clients.ErrNotFound without a client.
func (s *Clients) Keys(ctx context.Context, clientID string) ([]api.APIKey, error) {
	if _, err := s.Client(ctx, clientID); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT `+keyColumns+` FROM api_keys k WHERE k.client_id = $1 ORDER BY k.created_at DESC, k.id`, clientID)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (api.APIKey, error) {
		var k api.APIKey
		return k, row.Scan(keyTargets(&k)...)
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// AddKey stores a new key of a client.
func (s *Clients) AddKey(ctx context.Context, actor string, k clients.Key) (api.APIKey, error) {
	stored := k.APIKey
	err := s.change(ctx, change{actor: actor, action: "key.create", client: k.ClientID, key: k.ID}, func(tx pgx.Tx) error {
		if _, err := client(ctx, tx, k.ClientID, "FOR SHARE"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO api_keys (id, client_id, hash, hash_key_id, expires_at) VALUES ($1, $2, $3, $4, $5)
			RETURNING created_at`, k.ID, k.ClientID, k.Hash, k.Hashed.KeyID, k.ExpiresAt).Scan(&stored.CreatedAt)
	})
	if err != nil {
		return api.APIKey{}, fmt.Errorf("insert a key: %w", err)
	}
	return stored, nil
}

// RevokeKey ends a key at once and keeps the time of the first revocation.
func (s *Clients) RevokeKey(ctx context.Context, actor, clientID, keyID string) error {
	return s.change(ctx, change{actor: actor, action: "key.revoke", client: clientID, key: keyID}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 AND client_id = $2`, keyID, clientID)
		if err != nil {
			return fmt.Errorf("revoke a key: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return clients.ErrNotFound
		}
		return nil
	})
}

// Used remembers when keys were last used; it is called with a batch.
func (s *Clients) Used(ctx context.Context, tx pgx.Tx, used map[string]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	ids, times := make([]string, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, at)
	}
	// Replicas flush in any order: rows are locked by ID, and time never goes back.
	_, err := tx.Exec(ctx, `WITH used AS (
			SELECT k.id, u.at FROM api_keys k JOIN unnest($1::text[], $2::timestamptz[]) AS u (id, at) USING (id)
			ORDER BY k.id FOR UPDATE OF k)
		UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at) FROM used WHERE api_keys.id = used.id`, ids, times)
	if err != nil {
		return fmt.Errorf("remember the use of keys: %w", err)
	}
	return nil
}

type change struct{ actor, action, client, key string }

// change runs an operator's change and its record in one transaction.
func (s *Clients) change(ctx context.Context, c change, do func(tx pgx.Tx) error) error {
	// Also after an error: a commit whose answer was lost has happened.
	defer s.changed()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return registered(err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO changes (actor, action, client_id, key_id) VALUES ($1, $2, $3, $4)`, c.actor, c.action, c.client, c.key)
		if err != nil {
			return fmt.Errorf("record the change: %w", err)
		}
		return nil
	})
}

func notFound(err error, doing string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return clients.ErrNotFound
	}
	return fmt.Errorf("%s: %w", doing, err)
}
