package adopt

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Legacy joins everything with the users table. It works until step 3.
type Legacy struct{ DB *pgxpool.Pool }

var _ HelpDesk = Legacy{}

// SignIn finds the caller's row, links one from before by its address, or makes one.
func (l Legacy) SignIn(ctx context.Context, p Person) error {
	err := pgx.BeginFunc(ctx, l.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE users SET idp_id = $1 WHERE email = $2 AND idp_id IS NULL`, p.UserID, p.Email); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO users (idp_id, email, name) VALUES ($1, $2, $3)
			ON CONFLICT (idp_id) DO UPDATE SET email = excluded.email, name = excluded.name`, p.UserID, p.Email, p.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the users table in step: %w", err)
	}
	return nil
}

// Open implements HelpDesk.
func (l Legacy) Open(ctx context.Context, userID, title string) error {
	_, err := l.DB.Exec(ctx, `INSERT INTO tickets (author_id, title) VALUES ((SELECT id FROM users WHERE idp_id = $1), $2)`, userID, title)
	return err
}

// Titles implements HelpDesk.
func (l Legacy) Titles(ctx context.Context, userID string) ([]string, error) {
	return titles(ctx, l.DB, `SELECT t.title FROM tickets AS t JOIN users AS u ON u.id = t.author_id WHERE u.idp_id = $1 ORDER BY t.id`, userID)
}

// SetDigest implements HelpDesk.
func (l Legacy) SetDigest(ctx context.Context, userID string, wanted bool) error {
	_, err := l.DB.Exec(ctx, `UPDATE users SET weekly_digest = $2 WHERE idp_id = $1`, userID, wanted)
	return err
}

// WantsDigest implements HelpDesk.
func (l Legacy) WantsDigest(ctx context.Context, userID string) (wanted bool, err error) {
	err = l.DB.QueryRow(ctx, `SELECT weekly_digest FROM users WHERE idp_id = $1`, userID).Scan(&wanted)
	return wanted, err
}
