// Package adopt is a help desk on its way from a users table to user IDs: the
// three versions of its code that docs/adoption.md speaks of, beside the SQL files
// of the steps. Two neighboring versions work at every step, so each can be
// rolled out, and back, while the other still runs.
package adopt

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Person is what a verified token and the identity provider say of a caller.
type Person struct {
	UserID string // the token's `sub`
	Email  string // verified by the identity provider
	Name   string
}

// HelpDesk is what the service does with users. All versions do the same.
type HelpDesk interface {
	// SignIn is the first thing that a request does with its verified token.
	SignIn(ctx context.Context, p Person) error
	// Open adds a ticket of the user's.
	Open(ctx context.Context, userID, title string) error
	// Titles are the user's tickets, oldest first.
	Titles(ctx context.Context, userID string) ([]string, error)
	// SetDigest and WantsDigest are a preference. The default is yes.
	SetDigest(ctx context.Context, userID string, wanted bool) error
	WantsDigest(ctx context.Context, userID string) (bool, error)
}

func titles(ctx context.Context, db *pgxpool.Pool, query, userID string) ([]string, error) {
	rows, err := db.Query(ctx, query, userID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
