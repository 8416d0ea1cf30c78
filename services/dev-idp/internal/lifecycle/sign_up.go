package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// NewAccount is what a sign-up asks for. Context is a registration context's
// slug or "".
type NewAccount struct {
	Email, Password, Name, Username, Context string

	role   string
	grants []settings.Grant
}

// SignUp makes an account and gives it what its registration context grants.
// Errors: ErrInvalidEmail, ErrPassword…, ErrUnknownContext, ErrEmailDomain,
// users.ErrEmailTaken, users.ErrUsernameTaken.
func (s *Service) SignUp(ctx context.Context, account NewAccount) (users.User, error) {
	email, ok := normalized(account.Email)
	switch {
	case !ok:
		return users.User{}, ErrInvalidEmail
	case len(account.Password) < users.MinPassword:
		return users.User{}, ErrPasswordTooShort
	case len(account.Password) > users.MaxPassword:
		return users.User{}, ErrPasswordTooLong
	}
	grants, err := s.contextGrants(account.Context, email)
	if err != nil {
		return users.User{}, err
	}
	account.Email, account.grants, account.role = email, grants, users.RoleUser
	hash := users.HashPassword(account.Password)
	var user users.User
	err = s.change(ctx, func(tx pgx.Tx) error {
		user, err = s.create(ctx, tx, account, &hash)
		return err
	})
	return user, err
}

// create inserts the user with grants and events.
func (s *Service) create(ctx context.Context, tx pgx.Tx, account NewAccount, passwordHash *string) (users.User, error) {
	now := s.moment()
	user := users.User{
		ID: random.ID(), Name: account.Name, Email: account.Email, EmailVerified: s.VerifyAtOnce, Role: account.role,
		PasswordHash: passwordHash, ActiveTenant: s.Settings.DefaultTenant, CreatedAt: now, UpdatedAt: now,
	}
	if account.Username != "" {
		lower := strings.ToLower(account.Username)
		user.Username, user.DisplayUsername = &lower, &account.Username
	}
	if err := users.Insert(ctx, tx, user); err != nil {
		return users.User{}, err
	}
	events := []webhooks.Event{s.userEvent(webhooks.UserCreated, user)}
	if user.EmailVerified {
		events = append(events, s.userEvent(webhooks.UserVerified, user))
	}
	if err := s.Queue.Enqueue(ctx, tx, events...); err != nil {
		return users.User{}, err
	}
	for _, g := range account.grants {
		if err := s.grant(ctx, tx, Tuple(permissions.SubjectUser, user.ID, g)); err != nil {
			return users.User{}, err
		}
	}
	return user, nil
}

// contextGrants checks the e-mail domain against the registration context.
func (s *Service) contextGrants(slug, email string) ([]settings.Grant, error) {
	if slug == "" {
		return nil, nil
	}
	for _, c := range s.Settings.RegistrationContexts {
		if c.Slug != slug {
			continue
		}
		_, domain, _ := strings.Cut(email, "@")
		if len(c.EmailDomains) > 0 && !slices.Contains(c.EmailDomains, domain) {
			return nil, ErrEmailDomain
		}
		return c.Grants, nil
	}
	return nil, ErrUnknownContext
}

// normalized is the address in lower case; false if it is none.
func normalized(email string) (string, bool) {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || !strings.Contains(email, ".") {
		return "", false
	}
	return strings.ToLower(email), true
}

// Upstream is what a social provider says about a person.
type Upstream struct{ Provider, AccountID, Email, Name string }

// SignInWithUpstream signs in the user that the upstream account is linked to.
// The first time it is linked to the account with the same address, or to a new
// one; the provider vouches for the address. Error: ErrBanned, ErrInvalidEmail.
func (s *Service) SignInWithUpstream(ctx context.Context, up Upstream, client Client) (users.User, sessions.Session, error) {
	email, ok := normalized(up.Email)
	if !ok {
		return users.User{}, sessions.Session{}, ErrInvalidEmail
	}
	up.Email = email
	var user users.User
	var session sessions.Session
	err := s.change(ctx, func(tx pgx.Tx) error {
		var err error
		if user, err = s.linked(ctx, tx, up); err != nil {
			return err
		}
		session, err = s.start(ctx, tx, user, client)
		return err
	})
	return user, session, err
}

func (s *Service) linked(ctx context.Context, tx pgx.Tx, up Upstream) (users.User, error) {
	user, err := users.ByAccount(ctx, tx, up.Provider, up.AccountID)
	if !errors.Is(err, users.ErrNotFound) {
		return user, err
	}
	user, err = users.ByEmail(ctx, tx, up.Email)
	if errors.Is(err, users.ErrNotFound) {
		account := NewAccount{Email: up.Email, Name: up.Name, role: users.RoleUser}
		// A person who comes through the provider gets what the first context gives
		// to their domain: there is no form on which a slug could be chosen.
		for _, c := range s.Settings.RegistrationContexts {
			if grants, err := s.contextGrants(c.Slug, up.Email); err == nil {
				account.grants = grants
				break
			}
		}
		user, err = s.create(ctx, tx, account, nil)
	}
	if err != nil {
		return users.User{}, err
	}
	if !user.EmailVerified {
		// Whoever made the account never showed that the address is theirs, so their
		// password must not open the account of the person who just did.
		if err := users.DropPassword(ctx, tx, user.ID); err != nil {
			return users.User{}, err
		}
		user.EmailVerified, user.UpdatedAt = true, s.moment()
		if err := users.Update(ctx, tx, user); err != nil {
			return users.User{}, err
		}
	}
	id := random.ID()
	if err := users.Link(ctx, tx, id, up.Provider, up.AccountID, user.ID, s.moment()); err != nil {
		return users.User{}, err
	}
	err = s.Queue.Enqueue(ctx, tx, webhooks.Event{Type: webhooks.AccountLinked, UserID: user.ID, Data: accountData{
		ID: id, UserID: user.ID, ProviderID: up.Provider, AccountID: up.AccountID,
	}})
	if err != nil {
		return users.User{}, fmt.Errorf("tell of a linked account: %w", err)
	}
	return user, nil
}
