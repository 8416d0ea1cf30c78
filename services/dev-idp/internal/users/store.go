package users

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
)

const columns = `id, name, email, email_verified, image, role, banned, ban_reason, ban_expires,
	username, display_username, password_hash, active_tenant, created_at, updated_at`

// Insert adds the user. Errors: ErrEmailTaken, ErrUsernameTaken.
func Insert(ctx context.Context, db database.Querier, u User) error {
	_, err := db.Exec(ctx, `INSERT INTO users (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		u.ID, u.Name, u.Email, u.EmailVerified, u.Image, u.Role, u.Banned, u.BanReason, u.BanExpires,
		u.Username, u.DisplayUsername, u.PasswordHash, u.ActiveTenant, u.CreatedAt, u.UpdatedAt)
	switch {
	case database.Violates(err, "users_email_unique"):
		return ErrEmailTaken
	case database.Violates(err, "users_username_unique"):
		return ErrUsernameTaken
	case err != nil:
		return fmt.Errorf("insert a user: %w", err)
	}
	return nil
}

// Update writes what may change about a user.
func Update(ctx context.Context, db database.Querier, u User) error {
	_, err := db.Exec(ctx, `UPDATE users SET name = $2, email_verified = $3, image = $4, banned = $5,
		ban_reason = $6, ban_expires = $7, updated_at = $8 WHERE id = $1`,
		u.ID, u.Name, u.EmailVerified, u.Image, u.Banned, u.BanReason, u.BanExpires, u.UpdatedAt)
	if err != nil {
		return fmt.Errorf("update a user: %w", err)
	}
	return nil
}

// DropPassword leaves the account without a password.
func DropPassword(ctx context.Context, db database.Querier, id string) error {
	if _, err := db.Exec(ctx, `UPDATE users SET password_hash = NULL WHERE id = $1`, id); err != nil {
		return fmt.Errorf("drop a password: %w", err)
	}
	return nil
}

// Delete removes the user and, by cascade, everything that hangs on it here.
// Grants name their subject loosely, so they are removed by hand. Error: ErrNotFound.
func Delete(ctx context.Context, db database.Querier, id string) error {
	if _, err := db.Exec(ctx, `DELETE FROM grants WHERE subject_type = 'user' AND subject_id = $1`, id); err != nil {
		return fmt.Errorf("delete a user's grants: %w", err)
	}
	tag, err := db.Exec(ctx, `DELETE FROM users WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("delete a user: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// ByID finds a user. Error: ErrNotFound.
func ByID(ctx context.Context, db database.Querier, id string) (User, error) {
	return one(ctx, db, `SELECT `+columns+` FROM users WHERE id = $1`, id)
}

// LockedByID is ByID and locks the row for the rest of the transaction.
func LockedByID(ctx context.Context, db database.Querier, id string) (User, error) {
	return one(ctx, db, `SELECT `+columns+` FROM users WHERE id = $1 FOR UPDATE`, id)
}

// ByEmail finds a user by lower-case address. Error: ErrNotFound.
func ByEmail(ctx context.Context, db database.Querier, email string) (User, error) {
	return one(ctx, db, `SELECT `+columns+` FROM users WHERE email = $1`, email)
}

// ByAccount finds the user that an upstream account is linked to. Error: ErrNotFound.
func ByAccount(ctx context.Context, db database.Querier, provider, accountID string) (User, error) {
	return one(ctx, db, `SELECT `+columns+` FROM users
		WHERE id = (SELECT user_id FROM linked_accounts WHERE provider = $1 AND account_id = $2)`, provider, accountID)
}

// Link ties an upstream account to a user.
func Link(ctx context.Context, db database.Querier, id, provider, accountID, userID string, now time.Time) error {
	_, err := db.Exec(ctx, `INSERT INTO linked_accounts (provider, account_id, id, user_id, created_at)
		VALUES ($1, $2, $3, $4, $5)`, provider, accountID, id, userID, now)
	if err != nil {
		return fmt.Errorf("link an account: %w", err)
	}
	return nil
}

// Page is one part of the list of users.
type Page struct {
	Limit, Offset int
	SortBy        string // createdAt, updatedAt, name, email; createdAt when empty
	Descending    bool
}

// sortable columns; the ID breaks ties so that pages never overlap.
var sortable = map[string]string{
	"": "created_at", "createdAt": "created_at", "updatedAt": "updated_at", "name": "name", "email": "email",
}

// ErrSort is an unknown sort column.
var ErrSort = errors.New("users cannot be sorted by that")

// List returns a page and the total. Error: ErrSort.
func List(ctx context.Context, db database.Querier, page Page) ([]User, int, error) {
	column, ok := sortable[page.SortBy]
	if !ok {
		return nil, 0, ErrSort
	}
	direction := "ASC"
	if page.Descending {
		direction = "DESC"
	}
	var total int
	if err := db.QueryRow(ctx, `SELECT count(*) FROM users`).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count the users: %w", err)
	}
	// What is skipped is skipped in the index: a list of a million users is read to
	// its end, and rows that nobody sees would be most of the work.
	order := ` ORDER BY ` + column + ` ` + direction + `, id`
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM users
		WHERE id IN (SELECT id FROM users`+order+` LIMIT $1 OFFSET $2)`+order, page.Limit, page.Offset)
	if err != nil {
		return nil, 0, fmt.Errorf("list the users: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[User])
	if err != nil {
		return nil, 0, fmt.Errorf("read the users: %w", err)
	}
	return found, total, nil
}

// ByIDs finds the users that exist among ids.
func ByIDs(ctx context.Context, db database.Querier, ids []string) ([]User, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM users WHERE id = ANY($1) ORDER BY id`, ids)
	if err != nil {
		return nil, fmt.Errorf("look users up: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[User])
}

func one(ctx context.Context, db database.Querier, sql string, args ...any) (User, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return User{}, fmt.Errorf("find a user: %w", err)
	}
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[User])
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, ErrNotFound
	}
	if err != nil {
		return User{}, fmt.Errorf("read a user: %w", err)
	}
	return u, nil
}
