// Package idempotency makes creating calls safe to repeat. The key, a hash of
// the request and the answer are rows in the service's own database, written in
// the transaction of the change itself: there is no moment in which one is
// there without the other.
package idempotency

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// Header carries the key (draft-ietf-httpapi-idempotency-key-header).
const Header = "Idempotency-Key"

// Limits.
const (
	MaxKeyBytes = 255
	// Retention is how long a key is remembered.
	Retention = 7 * 24 * time.Hour

	pruneInterval = time.Hour
)

// The problems that a key can have.
var (
	ErrMissing = problem.New(http.StatusBadRequest, "idempotency-key-required", "This call needs an Idempotency-Key header of 1 to 255 visible ASCII characters.")
	ErrReused  = problem.New(http.StatusUnprocessableEntity, "idempotency-key-reused", "This Idempotency-Key was used for a different request.")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations makes the table in a service's database.
func Migrations() migrate.Set {
	return migrate.Set{Name: "idempotency", FS: migrations, Dir: "migrations"}
}

// Key names one call of one user.
type Key struct {
	UserID    string
	TenantID  string
	Operation string // the route, so that one key may serve several
	Value     string
	Hash      [sha256.Size]byte
}

// FromRequest reads the header. It must stand there once.
func FromRequest(r *http.Request) (string, error) {
	values := r.Header.Values(Header)
	if len(values) != 1 || values[0] == "" || len(values[0]) > MaxKeyBytes {
		return "", ErrMissing
	}
	for _, c := range []byte(values[0]) {
		if c < 0x21 || c > 0x7e {
			return "", ErrMissing
		}
	}
	return values[0], nil
}

// Hash is over what makes two requests the same: decoded values, so that
// spacing and the order of members do not count.
func Hash(parts ...any) [sha256.Size]byte {
	raw, err := json.Marshal(parts)
	if err != nil {
		// Only a type that JSON cannot hold gets here; no request is the same as it.
		return sha256.Sum256([]byte(err.Error()))
	}
	return sha256.Sum256(raw)
}

// Claim takes the key for this transaction. It returns the stored answer if the
// call was made before, and nil if this is the first; the caller then writes
// the answer with Save. A second call under way waits here for the first one's
// end. The transaction must be READ COMMITTED.
func Claim(ctx context.Context, tx pgx.Tx, k Key) ([]byte, error) {
	tag, err := tx.Exec(ctx, `INSERT INTO idempotency_keys (user_id, tenant_id, operation, key, request_hash)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT idempotency_keys_once DO NOTHING`,
		k.UserID, k.TenantID, k.Operation, k.Value, k.Hash[:])
	if err != nil {
		return nil, fmt.Errorf("claim the idempotency key: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil, nil
	}
	return Answer(ctx, tx, k)
}

// Querier is a pool or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Answer returns the stored answer, or nil if the key was never used.
func Answer(ctx context.Context, db Querier, k Key) ([]byte, error) {
	var hash, answer []byte
	err := db.QueryRow(ctx, `SELECT request_hash, answer FROM idempotency_keys
		WHERE user_id = $1 AND tenant_id = $2 AND operation = $3 AND key = $4`,
		k.UserID, k.TenantID, k.Operation, k.Value).Scan(&hash, &answer)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the idempotency key: %w", err)
	case string(hash) != string(k.Hash[:]):
		return nil, ErrReused
	default:
		return answer, nil
	}
}

// Save stores the answer of a claimed key, again if it became more complete.
func Save(ctx context.Context, tx pgx.Tx, k Key, answer any) error {
	raw, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE idempotency_keys SET answer = $5
		WHERE user_id = $1 AND tenant_id = $2 AND operation = $3 AND key = $4`,
		k.UserID, k.TenantID, k.Operation, k.Value, raw); err != nil {
		return fmt.Errorf("store the answer: %w", err)
	}
	return nil
}

// Prune deletes keys older than Retention, each hour until ctx ends. A failure
// waits for the next hour.
func Prune(ctx context.Context, pool *pgxpool.Pool, failed func(error)) error {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		_, err := pool.Exec(ctx, `DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1)`, Retention.Seconds())
		if err != nil && ctx.Err() == nil {
			failed(fmt.Errorf("prune idempotency keys: %w", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
