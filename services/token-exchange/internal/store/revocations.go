package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/revocations"
)

// Revocations keeps what was revoked here.
type Revocations struct{ pool *pgxpool.Pool }

var _ revocations.Store = (*Revocations)(nil)

// NewRevocations makes the store.
func NewRevocations(pool *pgxpool.Pool) *Revocations { return &Revocations{pool: pool} }

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Put implements revocations.Store.
func (s *Revocations) Put(ctx context.Context, r authn.Revocation) error {
	return putRevocation(ctx, s.pool, r)
}

func putRevocation(ctx context.Context, q execer, r authn.Revocation) error {
	_, err := q.Exec(ctx, `INSERT INTO revocations AS r (kind, key, revoked_at, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, key) DO UPDATE SET revoked_at = greatest(r.revoked_at, excluded.revoked_at),
			expires_at = greatest(r.expires_at, excluded.expires_at), changed_at = clock_timestamp(), bucket = NULL`,
		r.Kind.String(), r.Key[:], r.Before, r.Expires)
	if err != nil {
		return fmt.Errorf("store a revocation: %w", err)
	}
	return nil
}

// endClient ends everything that a client got until now, in the transaction
// that takes something from the client.
func endClient(ctx context.Context, tx pgx.Tx, clientID string) error {
	now := time.Now()
	return putRevocation(ctx, tx, authn.Revocation{
		Kind: authn.RevokedClient, Key: authn.NewRevocationKey(authn.RevokedClient, clientID), Before: now, Expires: now.Add(revocations.Lifetime),
	})
}

var revocationKinds = map[string]authn.RevocationKind{
	authn.RevokedToken.String(): authn.RevokedToken, authn.RevokedClient.String(): authn.RevokedClient,
}

func scanRevocation(row pgx.CollectableRow) (authn.Revocation, error) {
	var kind string
	var key []byte
	var r authn.Revocation
	if err := row.Scan(&kind, &key, &r.Before, &r.Expires); err != nil {
		return r, err
	}
	r.Kind, r.Key = revocationKinds[kind], authn.RevocationKey(key)
	return r, nil
}

// ChangedSince implements revocations.Store.
func (s *Revocations) ChangedSince(ctx context.Context, since time.Time) (list []authn.Revocation, now time.Time, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// The time before the look: what is committed later is found the next time.
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT kind, key, revoked_at, expires_at FROM revocations WHERE changed_at > $1 AND expires_at > now()`, since)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanRevocation)
		return err
	})
	if err != nil {
		return nil, now, fmt.Errorf("read revocations: %w", err)
	}
	return list, now, nil
}

// Project implements revocations.Store. It holds the rows' locks while they are
// put, so that what is in the bucket never falls behind a newer row.
func (s *Revocations) Project(ctx context.Context, bucket time.Time, limit int, put func(context.Context, []authn.Revocation) error) (n int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT kind, key, revoked_at, expires_at FROM revocations
			WHERE bucket IS NULL ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED`, limit)
		if err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		list, err := pgx.CollectRows(rows, scanRevocation)
		if err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		if n = len(list); n == 0 {
			return nil
		}
		if err := put(ctx, list); err != nil {
			return err
		}
		kinds, keys := make([]string, n), make([][]byte, n)
		for i, r := range list {
			kinds[i], keys[i] = r.Kind.String(), r.Key[:]
		}
		_, err = tx.Exec(ctx, `UPDATE revocations r SET bucket = $3
			FROM (SELECT unnest($1::text[]) AS kind, unnest($2::bytea[]) AS key) p WHERE r.kind = p.kind AND r.key = p.key`, kinds, keys, bucket)
		if err != nil {
			return fmt.Errorf("mark projected revocations: %w", err)
		}
		return nil
	})
	return n, err
}

// Forget implements revocations.Store.
func (s *Revocations) Forget(ctx context.Context, bucket time.Time) error {
	err := postgres.InChunks(ctx, s.pool, `UPDATE revocations SET bucket = NULL WHERE (kind, key) IN (
		SELECT kind, key FROM revocations WHERE bucket <> $1 AND expires_at > now() LIMIT $2)`, bucket)
	if err != nil {
		return fmt.Errorf("forget a lost bucket: %w", err)
	}
	return nil
}

// Prune implements revocations.Store.
func (s *Revocations) Prune(ctx context.Context) error {
	err := postgres.InChunks(ctx, s.pool, `DELETE FROM revocations WHERE (kind, key) IN (SELECT kind, key FROM revocations WHERE expires_at < now() LIMIT $1)`)
	if err != nil {
		return fmt.Errorf("prune revocations: %w", err)
	}
	return nil
}
