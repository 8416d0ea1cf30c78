// Package sessions keeps browser sessions and signs their cookie.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

// Lifetime of a session.
const Lifetime = 7 * 24 * time.Hour

// ErrNotFound is an unknown or ended session.
var ErrNotFound = errors.New("no such session")

// Session is one row.
type Session struct {
	ID             string    `db:"id"`
	Token          string    `db:"token"`
	UserID         string    `db:"user_id"`
	ExpiresAt      time.Time `db:"expires_at"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
	IPAddress      string    `db:"ip_address"`
	UserAgent      string    `db:"user_agent"`
	ImpersonatedBy *string   `db:"impersonated_by"`
}

// View is the form on the wire.
type View struct {
	ExpiresAt      reply.Time `json:"expiresAt"`
	Token          string     `json:"token"`
	CreatedAt      reply.Time `json:"createdAt"`
	UpdatedAt      reply.Time `json:"updatedAt"`
	IPAddress      string     `json:"ipAddress"`
	UserAgent      string     `json:"userAgent"`
	UserID         string     `json:"userId"`
	ImpersonatedBy *string    `json:"impersonatedBy"`
	ID             string     `json:"id"`
}

// View of the session.
func (s Session) View() View {
	return View{
		ExpiresAt: reply.Time(s.ExpiresAt), Token: s.Token, CreatedAt: reply.Time(s.CreatedAt), UpdatedAt: reply.Time(s.UpdatedAt),
		IPAddress: s.IPAddress, UserAgent: s.UserAgent, UserID: s.UserID, ImpersonatedBy: s.ImpersonatedBy, ID: s.ID,
	}
}

const columns = `id, token, user_id, expires_at, created_at, updated_at, ip_address, user_agent, impersonated_by`

// Create starts a session of the user.
func Create(ctx context.Context, db database.Querier, userID, address, userAgent string, now time.Time) (Session, error) {
	s := Session{
		ID: random.ID(), Token: random.Token(), UserID: userID, ExpiresAt: now.Add(Lifetime),
		CreatedAt: now, UpdatedAt: now, IPAddress: address, UserAgent: userAgent,
	}
	_, err := db.Exec(ctx, `INSERT INTO sessions (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		s.ID, s.Token, s.UserID, s.ExpiresAt, s.CreatedAt, s.UpdatedAt, s.IPAddress, s.UserAgent, s.ImpersonatedBy)
	if err != nil {
		return Session{}, fmt.Errorf("insert a session: %w", err)
	}
	return s, nil
}

// ByToken finds a live session. Error: ErrNotFound.
func ByToken(ctx context.Context, db database.Querier, token string, now time.Time) (Session, error) {
	return one(ctx, db, `SELECT `+columns+` FROM sessions WHERE token = $1 AND expires_at > $2`, token, now)
}

// ByID finds a live session. Error: ErrNotFound.
func ByID(ctx context.Context, db database.Querier, id string, now time.Time) (Session, error) {
	return one(ctx, db, `SELECT `+columns+` FROM sessions WHERE id = $1 AND expires_at > $2`, id, now)
}

// OfUser lists a user's live sessions, the newest first.
func OfUser(ctx context.Context, db database.Querier, userID string, now time.Time) ([]Session, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM sessions
		WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id`, userID, now)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Session])
}

// End deletes one session by its token. Error: ErrNotFound.
func End(ctx context.Context, db database.Querier, token string) (Session, error) {
	return one(ctx, db, `DELETE FROM sessions WHERE token = $1 RETURNING `+columns, token)
}

// EndAll deletes every session of a user and returns them.
func EndAll(ctx context.Context, db database.Querier, userID string) ([]Session, error) {
	rows, err := db.Query(ctx, `DELETE FROM sessions WHERE user_id = $1 RETURNING `+columns, userID)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Session])
}

// Prune forgets sessions that ended by themselves.
func Prune(ctx context.Context, db database.Querier, now time.Time) error {
	if _, err := db.Exec(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, now); err != nil {
		return fmt.Errorf("prune sessions: %w", err)
	}
	return nil
}

func one(ctx context.Context, db database.Querier, sql string, args ...any) (Session, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Session{}, fmt.Errorf("find a session: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Session])
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, ErrNotFound
	}
	if err != nil {
		return Session{}, fmt.Errorf("read a session: %w", err)
	}
	return s, nil
}
