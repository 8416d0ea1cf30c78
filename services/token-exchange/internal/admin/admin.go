// Package admin manages clients and their keys. Every change is recorded with
// who made it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// Errors that callers see.
var (
	ErrInvalidClient = problem.New(http.StatusUnprocessableEntity, "invalid-client", "The client's registration is not valid.")
	ErrClientExists  = problem.New(http.StatusConflict, "client-exists", "There is a client of this ID already.")
	ErrInvalidKey    = problem.New(http.StatusUnprocessableEntity, "invalid-key", "A key must expire in the future.")
)

// Service manages clients.
type Service struct {
	store       *store.Clients
	hashes      *keyring.Ring
	environment string // label of new keys
	now         func() time.Time
}

// New makes a service.
func New(s *store.Clients, hashes *keyring.Ring, environment string, now func() time.Time) *Service {
	return &Service{store: s, hashes: hashes, environment: environment, now: now}
}

// Clients lists every client.
func (s *Service) Clients(ctx context.Context, _ struct{}) (api.ClientList, error) {
	all, err := s.store.List(ctx)
	if err != nil {
		return api.ClientList{}, err
	}
	list := api.ClientList{Clients: make([]api.Client, len(all))}
	for i, c := range all {
		list.Clients[i] = c.Client
	}
	return list, nil
}

// Client returns one client.
func (s *Service) Client(ctx context.Context, ref ClientRef) (api.Client, error) {
	c, err := s.store.Client(ctx, ref.ClientID)
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

// Create registers a client.
func (s *Service) Create(ctx context.Context, req CreateRequest) (api.Client, error) {
	if err := clients.Validate(req.ClientSpec); err != nil {
		return api.Client{}, public(err)
	}
	c, err := s.store.Create(ctx, actor(ctx), req.ClientSpec)
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

// Change changes what the patch names.
func (s *Service) Change(ctx context.Context, req ChangeRequest) (api.Client, error) {
	c, err := s.store.Update(ctx, actor(ctx), req.id, func(c *clients.Client) error {
		apply(&c.Client, req.ClientPatch)
		return clients.Validate(c.ClientSpec)
	})
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

func apply(c *api.Client, p api.ClientPatch) {
	set(&c.Name, p.Name)
	set(&c.GrantTypes, p.GrantTypes)
	set(&c.Audiences, p.Audiences)
	set(&c.DefaultAudience, p.DefaultAudience)
	set(&c.Permissions, p.Permissions)
	set(&c.FrontDoor, p.FrontDoor)
	set(&c.OIDCClientID, p.OIDCClientID)
	set(&c.Blocked, p.Blocked)
	set(&c.BlockReason, p.BlockReason)
	if !c.Blocked {
		c.BlockReason = ""
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Keys lists a client's keys.
func (s *Service) Keys(ctx context.Context, ref ClientRef) (api.KeyList, error) {
	keys, err := s.store.Keys(ctx, ref.ClientID)
	if err != nil {
		return api.KeyList{}, public(err)
	}
	if keys == nil {
		keys = []api.APIKey{}
	}
	return api.KeyList{Keys: keys}, nil
}

// CreateKey makes a key. Only its hash is kept.
func (s *Service) CreateKey(ctx context.Context, req NewKeyRequest) (api.IssuedKey, error) {
	if req.ExpiresAt != nil && !req.ExpiresAt.After(s.now()) {
		return api.IssuedKey{}, ErrInvalidKey
	}
	key, err := api.GenerateKey(s.environment)
	if err != nil {
		return api.IssuedKey{}, fmt.Errorf("generate a key: %w", err)
	}
	stored, err := s.store.AddKey(ctx, actor(ctx), clients.Key{
		APIKey: api.APIKey{ID: key.ID(), ClientID: req.id, ExpiresAt: req.ExpiresAt},
		Hashed: s.hashes.Hash(keyring.PurposeAPIKey, key.Reveal()),
	})
	if err != nil {
		return api.IssuedKey{}, public(err)
	}
	return api.IssuedKey{APIKey: stored, Secret: key.Reveal()}, nil
}

// RevokeKey ends a key at once.
func (s *Service) RevokeKey(ctx context.Context, ref KeyRef) (struct{}, error) {
	return struct{}{}, public(s.store.RevokeKey(ctx, actor(ctx), ref.ClientID, ref.KeyID))
}

func actor(ctx context.Context) string {
	if p, ok := authn.FromContext(ctx); ok {
		return p.ClientID()
	}
	return ""
}

func public(err error) error {
	switch {
	case errors.Is(err, clients.ErrNotFound):
		return problem.ErrNotFound.Because(err)
	case errors.Is(err, clients.ErrInvalid):
		return ErrInvalidClient.Because(err)
	case errors.Is(err, store.ErrExists):
		return ErrClientExists.Because(err)
	}
	return err
}
