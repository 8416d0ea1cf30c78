// Package users is a local table of users: the mirror of the identity provider's
// that other tables refer to. A row comes with the first request (just-in-time
// provisioning), follows the provider's webhooks, is compared with the provider's
// list each night, and takes everything that hangs on it along when it goes.
package users

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

var (
	// ErrDeleted is a user whom a tombstone keeps out.
	ErrDeleted = errors.New("user was deleted")
	// ErrBanned answers a user whose row says so.
	ErrBanned = problem.New(http.StatusForbidden, "user-banned", "This user is banned.")
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// Migrations puts a service's own tables, which refer to users, where they
// belong. Services that share a database apply the common sets once.
func Migrations(own ...migrate.Set) []migrate.Set {
	sets := append([]migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		idempotency.Migrations(),
		{Name: "users", FS: migrations, Dir: "migrations/users"},
	}, own...)
	return append(sets, migrate.Set{Name: "users_keys", FS: migrations, Dir: "migrations/keys"})
}

// Profile is what the provider says about a user. A nil field was not said.
type Profile struct {
	ID        string
	Name      *string
	Email     *string
	AvatarURL *string
	Banned    *bool
	UpdatedAt time.Time // the provider's; zero: nothing but the ID is known
}

// Options of a table.
type Options struct {
	// Tombstones hash the IDs of deleted users; nil remembers nobody.
	Tombstones *participant.Tombstones
	// Cache is how long a row that was read is trusted by this replica; 0: not at all.
	Cache time.Duration
}

// Table is the users of one database.
type Table struct {
	pool       *pgxpool.Pool
	tombstones *participant.Tombstones
	seen       *seen
}

// NewTable makes the table.
func NewTable(pool *pgxpool.Pool, o Options) *Table {
	return &Table{pool: pool, tombstones: o.Tombstones, seen: newSeen(o.Cache, time.Now)}
}

// hashes of a user's tombstone under every key; none, where nobody is remembered.
func (t *Table) hashes(userID string) [][]byte {
	if t.tombstones == nil {
		return [][]byte{}
	}
	return t.tombstones.Hashes(userID)
}

const (
	// A row is made under the shared lock, a user deleted under the exclusive one:
	// without it, a request that has looked for a tombstone could make its row
	// just after the deletion has looked for rows.
	lockShared = `SELECT pg_advisory_xact_lock_shared(hashtextextended('shadow user ' || $1::text, 0))`
	lockAlone  = `SELECT pg_advisory_xact_lock(hashtextextended('shadow user ' || $1::text, 0))`

	insertNew = `INSERT INTO users (id, name, email, avatar_url, banned, updated_at)
		SELECT $1, coalesce($2, ''), coalesce($3, ''), coalesce($4, ''), coalesce($5, false), $6::timestamptz
		WHERE NOT EXISTS (SELECT FROM user_tombstones WHERE hash = ANY($7::bytea[])) `

	insert = insertNew + `ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING`

	// Old news changes nothing. Of two at the same millisecond the later wins.
	upsert = insertNew + `ON CONFLICT ON CONSTRAINT users_pkey DO UPDATE SET
			name = coalesce($2, users.name), email = coalesce($3, users.email),
			avatar_url = coalesce($4, users.avatar_url), banned = coalesce($5, users.banned), updated_at = $6::timestamptz
		WHERE users.updated_at < $6::timestamptz
			OR users.updated_at = $6::timestamptz AND (users.name, users.email, users.avatar_url, users.banned) IS DISTINCT FROM
				(coalesce($2, users.name), coalesce($3, users.email), coalesce($4, users.avatar_url), coalesce($5, users.banned))`
)

func (t *Table) arguments(p Profile) []any {
	at := p.UpdatedAt
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	return []any{p.ID, p.Name, p.Email, p.AvatarURL, p.Banned, at.UTC(), t.hashes(p.ID)}
}

// batcher is the pool or a transaction. On the pool a batch is one transaction.
type batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// change takes in what the provider says and reports whether a row changed. It
// does not for a deleted user, nor for old news.
func (t *Table) change(ctx context.Context, db batcher, p Profile) (bool, error) {
	batch := &pgx.Batch{}
	batch.Queue(lockShared, p.ID)
	var changed bool
	batch.Queue(upsert, t.arguments(p)...).Exec(func(tag pgconn.CommandTag) error {
		changed = tag.RowsAffected() > 0
		return nil
	})
	if err := db.SendBatch(ctx, batch).Close(); err != nil {
		return false, fmt.Errorf("change a user: %w", err)
	}
	t.seen.forget(p.ID)
	return changed, nil
}

// Delete removes the user and, by the foreign keys, what hangs on the row. It
// reports whether there was one; the tombstone is left either way.
func (t *Table) Delete(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	if _, err := tx.Exec(ctx, lockAlone, userID); err != nil {
		return false, fmt.Errorf("lock a user: %w", err)
	}
	if t.tombstones != nil {
		if _, err := tx.Exec(ctx, `INSERT INTO user_tombstones (hash) VALUES ($1) ON CONFLICT ON CONSTRAINT user_tombstones_pkey DO NOTHING`,
			t.tombstones.Hash(userID)); err != nil {
			return false, fmt.Errorf("bury a user: %w", err)
		}
	}
	tag, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, userID)
	if err != nil {
		return false, fmt.Errorf("delete a user: %w", err)
	}
	t.seen.forget(userID)
	return tag.RowsAffected() > 0, nil
}
