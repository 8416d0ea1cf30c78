// Package revocations keeps what is revoked: first as rows, which are the truth,
// then in the NATS bucket, which is their projection and can be rebuilt.
package revocations

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
)

// Cause says why something is revoked. A block holds until its last cause is
// gone: a ban that is lifted does not let a deleted user in.
type Cause string

// Causes.
const (
	CauseEnded    Cause = "ended"    // the session is over
	CauseDeleted  Cause = "deleted"  // the user was deleted at the identity provider
	CauseBanned   Cause = "banned"   // the user is banned there
	CauseOperator Cause = "operator" // somebody here decided it
	CauseChanged  Cause = "changed"  // tokens state what is no longer true
)

// Lifetime is how long a revocation is kept that ends by itself: nothing that
// it could kill lives longer.
const Lifetime = streams.RevocationTTL

// Revoke adds a cause. It reports whether that changed anything: the same cause
// for the same thing again does not, except that a user's or client's T moves on.
func Revoke(ctx context.Context, tx pgx.Tx, kind authn.RevocationKind, id string, cause Cause, at time.Time) (changed bool, err error) {
	key := authn.NewRevocationKey(kind, id)
	var expires *time.Time
	if kind != authn.BlockedUser {
		end := at.Add(Lifetime)
		expires = &end
	}
	tag, err := tx.Exec(ctx, `INSERT INTO revocations AS r (kind, key, revoked_at, causes, expires_at)
		VALUES ($1, $2, $3, ARRAY[$4], $5)
		ON CONFLICT (kind, key) DO UPDATE SET
			causes = CASE WHEN $4 = ANY(r.causes) THEN r.causes ELSE r.causes || $4 END,
			revoked_at = greatest(r.revoked_at, excluded.revoked_at), pending = true,
			expires_at = CASE WHEN excluded.expires_at IS NOT NULL THEN greatest(r.expires_at, excluded.expires_at) END
		WHERE NOT $4 = ANY(r.causes) OR (r.kind IN ('user', 'client') AND r.revoked_at < excluded.revoked_at)`,
		kind.String(), key[:], at, string(cause), expires)
	if err != nil {
		return false, fmt.Errorf("store revocation: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Lift takes one cause away, or all of them if cause is empty. It reports
// whether the revocation had it.
func Lift(ctx context.Context, tx pgx.Tx, kind authn.RevocationKind, key authn.RevocationKey, cause Cause, at time.Time) (changed bool, err error) {
	tag, err := tx.Exec(ctx, `UPDATE revocations SET
			causes = CASE WHEN $3 = '' THEN '{}' ELSE array_remove(causes, $3) END,
			revoked_at = greatest(revoked_at, $4),
			-- A lifted row must outlive the entry that it takes back.
			expires_at = CASE WHEN $3 = '' OR causes = ARRAY[$3] THEN $5::timestamptz ELSE expires_at END,
			pending = true
		WHERE kind = $1 AND key = $2 AND cardinality(causes) > 0 AND ($3 = '' OR $3 = ANY(causes))`,
		kind.String(), key[:], string(cause), at, at.Add(Lifetime))
	if err != nil {
		return false, fmt.Errorf("lift revocation: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Blocked returns the keys of all users who are blocked for the cause.
func Blocked(ctx context.Context, db Querier, cause Cause) (map[authn.RevocationKey]bool, error) {
	rows, err := db.Query(ctx, `SELECT key FROM revocations WHERE kind = 'block' AND $1 = ANY(causes)`, string(cause))
	if err != nil {
		return nil, fmt.Errorf("read blocks: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("read blocks: %w", err)
	}
	blocked := make(map[authn.RevocationKey]bool, len(keys))
	for _, key := range keys {
		blocked[authn.RevocationKey(key)] = true
	}
	return blocked, nil
}

var kinds = map[string]authn.RevocationKind{
	authn.RevokedToken.String(): authn.RevokedToken, authn.RevokedSession.String(): authn.RevokedSession,
	authn.RevokedUser.String(): authn.RevokedUser, authn.RevokedClient.String(): authn.RevokedClient,
	authn.BlockedUser.String(): authn.BlockedUser,
}

// KindOf reads the name of a kind as it stands in rows.
func KindOf(name string) (authn.RevocationKind, bool) {
	kind, ok := kinds[name]
	return kind, ok
}
