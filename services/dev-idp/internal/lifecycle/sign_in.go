package lifecycle

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// SignIn checks the password and starts a session. Errors: ErrCredentials,
// ErrNotVerified, ErrBanned.
func (s *Service) SignIn(ctx context.Context, email, password string, client Client) (users.User, sessions.Session, error) {
	address, _ := normalized(email)
	user, err := users.ByEmail(ctx, s.Pool, address)
	if err != nil && !errors.Is(err, users.ErrNotFound) {
		return users.User{}, sessions.Session{}, err
	}
	switch matches := users.CheckPassword(user.PasswordHash, password); {
	case !matches:
		return users.User{}, sessions.Session{}, ErrCredentials
	case !user.EmailVerified:
		return users.User{}, sessions.Session{}, ErrNotVerified
	}
	var session sessions.Session
	err = s.change(ctx, func(tx pgx.Tx) error {
		session, err = s.start(ctx, tx, user, client)
		return err
	})
	return user, session, err
}

// start makes a session, unless the user is banned or gone by now.
func (s *Service) start(ctx context.Context, tx pgx.Tx, user users.User, client Client) (sessions.Session, error) {
	current, err := users.LockedByID(ctx, tx, user.ID)
	if errors.Is(err, users.ErrNotFound) {
		return sessions.Session{}, ErrCredentials
	}
	if err != nil {
		return sessions.Session{}, err
	}
	if current.BannedAt(s.Now()) {
		return sessions.Session{}, ErrBanned
	}
	session, err := sessions.Create(ctx, tx, user.ID, client.Address, client.UserAgent, s.moment())
	if err != nil {
		return sessions.Session{}, err
	}
	return session, s.Queue.Enqueue(ctx, tx, sessionEvent(webhooks.SessionCreated, session))
}

// EndSession ends one session by its token. Error: sessions.ErrNotFound.
func (s *Service) EndSession(ctx context.Context, token string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		session, err := sessions.End(ctx, tx, token)
		if err != nil {
			return err
		}
		return s.Queue.Enqueue(ctx, tx, sessionEvent(webhooks.SessionDeleted, session))
	})
}

// EndSessions ends every session of a user. Error: users.ErrNotFound.
func (s *Service) EndSessions(ctx context.Context, userID string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		if _, err := users.LockedByID(ctx, tx, userID); err != nil {
			return err
		}
		return s.endAll(ctx, tx, userID)
	})
}

func (s *Service) endAll(ctx context.Context, tx pgx.Tx, userID string) error {
	ended, err := sessions.EndAll(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.Queue.Enqueue(ctx, tx, endedEvents(ended)...)
}
