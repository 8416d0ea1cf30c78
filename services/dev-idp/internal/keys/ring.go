// Package keys keeps the signing keys in the database, publishes them as a JWKS
// and signs tokens with the newest one of the mode's algorithm.
package keys

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
)

// How often a key is replaced and how long an old one stays published.
const (
	DefaultRotation  = 30 * 24 * time.Hour
	DefaultRetention = 60 * 24 * time.Hour
)

// rotationLock makes replicas that start or rotate at once agree on one key.
const rotationLock = 0x6b657973 // "keys"

const rsaBits = 2048

// Key is one signing key.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
	CreatedAt time.Time
}

// Ring is the set of keys in one database.
type Ring struct {
	pool      *pgxpool.Pool
	algorithm string
	rotation  time.Duration
	retention time.Duration
	now       func() time.Time
}

// Open returns the ring and makes its first key if there is none.
func Open(ctx context.Context, pool *pgxpool.Pool, algorithm string, rotation, retention time.Duration, now func() time.Time) (*Ring, error) {
	r := &Ring{pool: pool, algorithm: algorithm, rotation: rotation, retention: retention, now: now}
	err := r.locked(ctx, func(tx pgx.Tx) error {
		_, err := r.newest(ctx, tx)
		if errors.Is(err, pgx.ErrNoRows) {
			_, err = r.add(ctx, tx)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the signing keys: %w", err)
	}
	return r, nil
}

// Report is what a rotation did.
type Report struct {
	Rotated   bool
	Pruned    int
	Latest    Key
	Rotation  time.Duration
	Retention time.Duration
}

// Rotate adds a key if the newest is older than the rotation interval, or
// always when forced, and drops keys past the retention window. As at the
// original, a new key signs at once.
func (r *Ring) Rotate(ctx context.Context, force bool) (Report, error) {
	report := Report{Rotation: r.rotation, Retention: r.retention}
	err := r.locked(ctx, func(tx pgx.Tx) error {
		latest, err := r.newest(ctx, tx)
		if err != nil {
			return err
		}
		if force || r.now().Sub(latest.CreatedAt) >= r.rotation {
			if latest, err = r.add(ctx, tx); err != nil {
				return err
			}
			report.Rotated = true
		}
		report.Latest = latest
		tag, err := tx.Exec(ctx, `DELETE FROM signing_keys WHERE created_at < $1 AND id <> $2`, r.now().Add(-r.retention), latest.ID)
		report.Pruned = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("rotate the signing keys: %w", err)
	}
	return report, nil
}

// Sign makes a compact JWT. typ is left out of the header when empty.
func (r *Ring) Sign(ctx context.Context, typ string, claims map[string]any) (string, error) {
	key, err := r.newest(ctx, r.pool)
	if err != nil {
		return "", fmt.Errorf("find the signing key: %w", err)
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(key.Algorithm), jwt.MapClaims(claims))
	token.Header = map[string]any{"alg": key.Algorithm, "kid": key.ID}
	if typ != "" {
		token.Header["typ"] = typ
	}
	signed, err := token.SignedString(key.Private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// Verify checks a token that this ring signed and returns its header's typ and
// its claims. Expiry is checked, issuer and audience are the caller's.
func (r *Ring) Verify(ctx context.Context, token string) (string, map[string]any, error) {
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(
		jwt.WithValidMethods([]string{r.algorithm}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(r.now),
	).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, err := r.scan(r.pool.QueryRow(ctx, `SELECT `+columns+` FROM signing_keys WHERE id = $1 AND algorithm = $2`, kid, r.algorithm))
		if err != nil {
			return nil, fmt.Errorf("find the key of a token: %w", err)
		}
		return key.Private.Public(), nil
	})
	if err != nil {
		return "", nil, fmt.Errorf("verify a token: %w", err)
	}
	typ, _ := parsed.Header["typ"].(string)
	return typ, claims, nil
}

const columns = `id, algorithm, private_key, created_at`

type row interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (r *Ring) newest(ctx context.Context, db row) (Key, error) {
	return r.scan(db.QueryRow(ctx, `SELECT `+columns+` FROM signing_keys WHERE algorithm = $1
		ORDER BY created_at DESC, id LIMIT 1`, r.algorithm))
}

func (r *Ring) add(ctx context.Context, tx pgx.Tx) (Key, error) {
	key := Key{ID: random.ID(), Algorithm: r.algorithm, CreatedAt: r.now()}
	var err error
	if r.algorithm == "EdDSA" {
		_, key.Private, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key.Private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return Key{}, fmt.Errorf("generate a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		return Key{}, fmt.Errorf("encode a key: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (`+columns+`) VALUES ($1, $2, $3, $4)`, key.ID, key.Algorithm, der, key.CreatedAt)
	return key, err
}

func (r *Ring) scan(row pgx.Row) (Key, error) {
	var key Key
	var der []byte
	if err := row.Scan(&key.ID, &key.Algorithm, &der, &key.CreatedAt); err != nil {
		return Key{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("decode a key: %w", err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("key %s cannot sign", key.ID)
	}
	key.Private = signer
	return key, nil
}

func (r *Ring) locked(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, rotationLock); err != nil {
			return fmt.Errorf("lock the keys: %w", err)
		}
		return fn(tx)
	})
}
