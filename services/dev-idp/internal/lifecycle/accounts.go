package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// Ban ends the user's sessions and lets none start. A zero duration has no end.
// Error: users.ErrNotFound.
func (s *Service) Ban(ctx context.Context, userID string, reason *string, duration time.Duration) (users.User, error) {
	return s.update(ctx, userID, webhooks.UserUpdated, func(tx pgx.Tx, u *users.User) error {
		u.Banned, u.BanReason, u.BanExpires = true, reason, nil
		if duration > 0 {
			until := s.moment().Add(duration)
			u.BanExpires = &until
		}
		return s.endAll(ctx, tx, u.ID)
	})
}

// Unban lets the user in again. Error: users.ErrNotFound.
func (s *Service) Unban(ctx context.Context, userID string) (users.User, error) {
	return s.update(ctx, userID, webhooks.UserUpdated, func(_ pgx.Tx, u *users.User) error {
		u.Banned, u.BanReason, u.BanExpires = false, nil, nil
		return nil
	})
}

// Verify marks the e-mail address as verified. Error: users.ErrNotFound.
func (s *Service) Verify(ctx context.Context, userID string) (users.User, error) {
	return s.update(ctx, userID, webhooks.UserVerified, func(_ pgx.Tx, u *users.User) error {
		u.EmailVerified = true
		return nil
	})
}

// Profile is what users may change about themselves; nil leaves a field alone.
type Profile struct {
	Name  *string
	Image *string
}

// UpdateProfile changes display data. Error: users.ErrNotFound.
func (s *Service) UpdateProfile(ctx context.Context, userID string, profile Profile) (users.User, error) {
	return s.update(ctx, userID, webhooks.UserUpdated, func(_ pgx.Tx, u *users.User) error {
		if profile.Name != nil {
			u.Name = *profile.Name
		}
		if profile.Image != nil {
			u.Image = profile.Image
		}
		return nil
	})
}

// Remove deletes the user and all that hangs on them. Error: users.ErrNotFound.
func (s *Service) Remove(ctx context.Context, userID string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		user, err := users.LockedByID(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := s.endAll(ctx, tx, userID); err != nil {
			return err
		}
		// Before the row goes: the owner of an endpoint is looked up in it.
		if err := s.Queue.Enqueue(ctx, tx, s.userEvent(webhooks.UserDeleted, user)); err != nil {
			return err
		}
		return users.Delete(ctx, tx, userID)
	})
}

// update changes a locked user and tells of it.
func (s *Service) update(ctx context.Context, userID, event string, change func(pgx.Tx, *users.User) error) (users.User, error) {
	var user users.User
	err := s.change(ctx, func(tx pgx.Tx) error {
		var err error
		if user, err = users.LockedByID(ctx, tx, userID); err != nil {
			return err
		}
		user.UpdatedAt = s.moment()
		if err := change(tx, &user); err != nil {
			return err
		}
		if err := users.Update(ctx, tx, user); err != nil {
			return err
		}
		return s.Queue.Enqueue(ctx, tx, s.userEvent(event, user))
	})
	return user, err
}
