package users

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/authn"
)

// claims are the profile in a token (OIDC Core, section 5.1). An access token
// need not have them.
type claims struct {
	Name    *string `json:"name"`
	Email   *string `json:"email"`
	Picture *string `json:"picture"`
}

// profileOf reads the claims of a token that was verified.
func profileOf(p *authn.Principal) Profile {
	profile := Profile{ID: p.UserID()}
	parts := strings.Split(p.Token(), ".")
	if len(parts) != 3 {
		return profile
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil || c.Name == nil && c.Email == nil {
		return profile
	}
	profile.Name, profile.Email, profile.AvatarURL, profile.UpdatedAt = c.Name, c.Email, c.Picture, p.IssuedAt()
	return profile
}

// Provision sees to it that the caller has a row before anything is written that
// refers to it, and that they are not banned. Any number of first requests at
// once make one row. It returns ErrDeleted for a user with a tombstone.
func (t *Table) Provision(ctx context.Context, p *authn.Principal) error {
	if p.Kind() != authn.KindUser || t.seen.has(p.UserID()) {
		return nil
	}
	var banned bool
	var at time.Time
	err := t.pool.QueryRow(ctx, `SELECT banned, updated_at FROM users WHERE id = $1`, p.UserID()).Scan(&banned, &at)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return t.first(ctx, p)
	case err != nil:
		return fmt.Errorf("read a user: %w", err)
	case banned:
		return ErrBanned
	}
	if profile := profileOf(p); profile.UpdatedAt.After(at) {
		if _, err := t.change(ctx, t.pool, profile); err != nil {
			return err
		}
	}
	t.seen.add(p.UserID())
	return nil
}

// first makes the row of a user who was never here.
func (t *Table) first(ctx context.Context, p *authn.Principal) error {
	if err := t.ensure(ctx, t.pool, profileOf(p)); err != nil {
		return err
	}
	t.seen.add(p.UserID())
	return nil
}

// Ensure makes a row for an ID that another service names, in the transaction
// that will refer to it. Its profile comes with the provider's next news.
func (t *Table) Ensure(ctx context.Context, tx pgx.Tx, userID string) error {
	return t.ensure(ctx, tx, Profile{ID: userID})
}

func (t *Table) ensure(ctx context.Context, db batcher, p Profile) error {
	batch := &pgx.Batch{}
	batch.Queue(lockShared, p.ID)
	batch.Queue(insert, t.arguments(p)...)
	banned := true
	batch.Queue(`SELECT banned FROM users WHERE id = $1`, p.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&banned) })
	err := db.SendBatch(ctx, batch).Close()
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrDeleted
	case err != nil:
		return fmt.Errorf("make a user's row: %w", err)
	case banned:
		return ErrBanned
	}
	return nil
}

// Forget makes the next request of a user look at their row: a write that refers
// to it has just failed.
func (t *Table) Forget(userID string) { t.seen.forget(userID) }
