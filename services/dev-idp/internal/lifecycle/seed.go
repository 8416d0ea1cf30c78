package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// seedLock makes two replicas that start at once seed one after the other.
const seedLock = 0x73656564 // "seed"

// Seed makes the configured users that do not exist. It may run at every start:
// who was deleted since then comes back with another ID, as a new account would.
func (s *Service) Seed(ctx context.Context) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, seedLock); err != nil {
			return fmt.Errorf("lock the seeding: %w", err)
		}
		for i, seed := range s.Settings.Users {
			email := strings.ToLower(seed.Email)
			_, err := users.ByEmail(ctx, tx, email)
			if err == nil {
				continue
			}
			if !errors.Is(err, users.ErrNotFound) {
				return err
			}
			role := seed.Role
			if role == "" {
				role = users.RoleUser
			}
			hash := users.HashPassword(seed.Password)
			seeded := &Service{Pool: s.Pool, Mode: s.Mode, Settings: s.Settings, Queue: s.Queue, Now: s.Now, VerifyAtOnce: true}
			account := NewAccount{Email: email, Name: seed.Name, Username: seed.Username, role: role, grants: seed.Grants}
			if _, err := seeded.create(ctx, tx, account, &hash); err != nil {
				return fmt.Errorf("seed user %d: %w", i+1, err)
			}
		}
		return nil
	})
}

// SeedKeyGrants gives the configured API keys that exist their grants.
func (s *Service) SeedKeyGrants(ctx context.Context) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		for _, key := range s.Settings.APIKeys {
			for _, g := range key.Grants {
				if err := s.grant(ctx, tx, Tuple(permissions.SubjectAPIKey, key.ID, g)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
