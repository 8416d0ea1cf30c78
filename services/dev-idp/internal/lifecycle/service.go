// Package lifecycle is everything that happens to accounts: each fact and the
// webhooks that tell of it are one transaction.
package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// Errors of this package, besides those of users and sessions.
var (
	ErrInvalidEmail     = errors.New("the e-mail address is not valid")
	ErrPasswordTooShort = errors.New("the password is too short")
	ErrPasswordTooLong  = errors.New("the password is too long")
	ErrUnknownContext   = errors.New("no such registration context")
	ErrEmailDomain      = errors.New("the registration context does not allow the e-mail domain")
	ErrCredentials      = errors.New("the e-mail address or the password is wrong")
	ErrNotVerified      = errors.New("the e-mail address is not verified")
	ErrBanned           = errors.New("the user is banned")
)

// Service changes accounts.
type Service struct {
	Pool     *pgxpool.Pool
	Mode     mode.Mode
	Settings settings.Settings
	Queue    *webhooks.Queue
	// VerifyAtOnce makes new accounts verified; no mail is ever sent.
	VerifyAtOnce bool
	Now          func() time.Time
}

// Client is where a request came from.
type Client struct{ Address, UserAgent string }

// change runs fn in a transaction and wakes the webhooks after the commit.
func (s *Service) change(ctx context.Context, fn func(pgx.Tx) error) error {
	if err := pgx.BeginFunc(ctx, s.Pool, fn); err != nil {
		return err
	}
	s.Queue.Wake()
	return nil
}

// moment is now, as precise as the wire is.
func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// Current finds the session and its user behind a cookie's token. Errors:
// sessions.ErrNotFound, also for a banned user.
func (s *Service) Current(ctx context.Context, token string) (users.User, sessions.Session, error) {
	if token == "" {
		return users.User{}, sessions.Session{}, sessions.ErrNotFound
	}
	session, err := sessions.ByToken(ctx, s.Pool, token, s.Now())
	if err != nil {
		return users.User{}, sessions.Session{}, err
	}
	user, err := users.ByID(ctx, s.Pool, session.UserID)
	if errors.Is(err, users.ErrNotFound) || err == nil && user.BannedAt(s.Now()) {
		return users.User{}, sessions.Session{}, sessions.ErrNotFound
	}
	return user, session, err
}
