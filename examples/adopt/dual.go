package adopt

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Dual reads the user ID where it stands and the foreign key where it does not
// yet. It writes as Legacy does; the triggers of step 1 write the user ID beside it.
// It works from step 1 to step 4.
type Dual struct{ DB *pgxpool.Pool }

var _ HelpDesk = Dual{}

// SignIn implements HelpDesk.
func (d Dual) SignIn(ctx context.Context, p Person) error { return Legacy(d).SignIn(ctx, p) }

// Open implements HelpDesk.
func (d Dual) Open(ctx context.Context, userID, title string) error {
	return Legacy(d).Open(ctx, userID, title)
}

// Titles implements HelpDesk: the dual read.
func (d Dual) Titles(ctx context.Context, userID string) ([]string, error) {
	return titles(ctx, d.DB, `SELECT title FROM tickets WHERE author_user_id = $1
		OR author_user_id IS NULL AND author_id = (SELECT id FROM users WHERE idp_id = $1) ORDER BY id`, userID)
}

// SetDigest implements HelpDesk.
func (d Dual) SetDigest(ctx context.Context, userID string, wanted bool) error {
	return Legacy(d).SetDigest(ctx, userID, wanted)
}

// WantsDigest implements HelpDesk.
func (d Dual) WantsDigest(ctx context.Context, userID string) (wanted bool, err error) {
	err = d.DB.QueryRow(ctx, `SELECT coalesce((SELECT weekly_digest FROM preferences WHERE user_id = $1),
		(SELECT weekly_digest FROM users WHERE idp_id = $1), true)`, userID).Scan(&wanted)
	return wanted, err
}
