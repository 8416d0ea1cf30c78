package adopt

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Federated knows user IDs and nothing else of a user. It reads rightly once step
// 3 finds nothing, and writes from step 4 on.
type Federated struct{ DB *pgxpool.Pool }

var _ HelpDesk = Federated{}

// SignIn has nothing to do: the token says who it is, the directory what they are called.
func (Federated) SignIn(context.Context, Person) error { return nil }

// Open implements HelpDesk. A participant asks its tombstones first, see examples/notes.
func (f Federated) Open(ctx context.Context, userID, title string) error {
	_, err := f.DB.Exec(ctx, `INSERT INTO tickets (author_user_id, title) VALUES ($1, $2)`, userID, title)
	return err
}

// Titles implements HelpDesk.
func (f Federated) Titles(ctx context.Context, userID string) ([]string, error) {
	return titles(ctx, f.DB, `SELECT title FROM tickets WHERE author_user_id = $1 ORDER BY id`, userID)
}

// SetDigest implements HelpDesk. The default is written down too: while Dual still
// runs, no row would mean to it what the users table says.
func (f Federated) SetDigest(ctx context.Context, userID string, wanted bool) error {
	_, err := f.DB.Exec(ctx, `INSERT INTO preferences (user_id, weekly_digest) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET weekly_digest = excluded.weekly_digest`, userID, wanted)
	return err
}

// WantsDigest implements HelpDesk.
func (f Federated) WantsDigest(ctx context.Context, userID string) (wanted bool, err error) {
	err = f.DB.QueryRow(ctx, `SELECT coalesce((SELECT weekly_digest FROM preferences WHERE user_id = $1), true)`, userID).Scan(&wanted)
	return wanted, err
}
