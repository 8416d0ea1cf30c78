package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
)

// rotationLock is the advisory lock under which keys are rotated; the number
// is arbitrary and used for nothing else in this database.
const rotationLock = 7_203_411_001

// SigningKeys keeps the sealed signing keys.
type SigningKeys struct{ pool *pgxpool.Pool }

var _ signing.Store = (*SigningKeys)(nil)

// NewSigningKeys makes the store.
func NewSigningKeys(pool *pgxpool.Pool) *SigningKeys { return &SigningKeys{pool: pool} }

type rowsQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// SigningKeys lists all keys in the order in which they sign.
func (s *SigningKeys) SigningKeys(ctx context.Context) ([]signing.Record, error) {
	return signingKeys(ctx, s.pool)
}

func signingKeys(ctx context.Context, q rowsQuerier) ([]signing.Record, error) {
	rows, err := q.Query(ctx, `SELECT kid, algorithm, public_jwk, sealed, encryption_key_id, created_at, activates_at, retires_at
		FROM signing_keys ORDER BY activates_at, kid`)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (signing.Record, error) {
		var r signing.Record
		var public []byte
		var retires *time.Time
		if err := row.Scan(&r.KeyID, &r.Algorithm, &public, &r.Sealed, &r.EncryptionKeyID, &r.CreatedAt, &r.ActivatesAt, &retires); err != nil {
			return r, err
		}
		if retires != nil {
			r.RetiresAt = *retires
		}
		return r, json.Unmarshal(public, &r.Public)
	})
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	return list, nil
}

// Rotate carries a plan out while no other replica can.
func (s *SigningKeys) Rotate(ctx context.Context, plan signing.Plan) (keys []signing.Record, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		// A statement of its own: the next one then sees what the last holder committed.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(rotationLock)); err != nil {
			return fmt.Errorf("wait for another rotation: %w", err)
		}
		if keys, err = signingKeys(ctx, tx); err != nil {
			return err
		}
		c, err := plan(keys)
		if err != nil || c.IsZero() {
			return err
		}
		if err := applyRotation(ctx, tx, c); err != nil {
			return err
		}
		keys, err = signingKeys(ctx, tx)
		return err
	})
	return keys, err
}

func applyRotation(ctx context.Context, tx pgx.Tx, c signing.Change) error {
	for _, r := range c.Created {
		public, err := json.Marshal(r.Public)
		if err != nil {
			return fmt.Errorf("encode a public key: %w", err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO signing_keys (kid, algorithm, public_jwk, sealed, encryption_key_id, created_at, activates_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, r.KeyID, r.Algorithm, public, r.Sealed, r.EncryptionKeyID, r.CreatedAt, r.ActivatesAt); err != nil {
			return fmt.Errorf("insert a signing key: %w", err)
		}
	}
	for _, r := range c.Changed {
		var retires *time.Time
		if !r.RetiresAt.IsZero() {
			retires = &r.RetiresAt
		}
		if _, err := tx.Exec(ctx, `UPDATE signing_keys SET sealed = $2, encryption_key_id = $3, retires_at = $4 WHERE kid = $1`,
			r.KeyID, r.Sealed, r.EncryptionKeyID, retires); err != nil {
			return fmt.Errorf("update a signing key: %w", err)
		}
	}
	if len(c.Removed) > 0 {
		if _, err := tx.Exec(ctx, `DELETE FROM signing_keys WHERE kid = ANY($1)`, c.Removed); err != nil {
			return fmt.Errorf("delete signing keys: %w", err)
		}
	}
	if c.By == "" {
		return nil
	}
	for _, r := range c.Created {
		if _, err := tx.Exec(ctx, `INSERT INTO changes (actor, action, client_id, key_id) VALUES ($1, $2, '', $3)`, c.By, c.Action, r.KeyID); err != nil {
			return fmt.Errorf("record the change: %w", err)
		}
	}
	return nil
}
