package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Keys lists a client's keys.
func (s *Service) Keys(ctx context.Context, ref ClientRef) (api.KeyList, error) {
	client, err := s.Store.Client(ctx, ref.ClientID)
	if err != nil {
		return api.KeyList{}, public(err)
	}
	keys, err := s.Store.Keys(ctx, ref.ClientID)
	if err != nil {
		return api.KeyList{}, public(err)
	}
	list := api.KeyList{Keys: make([]api.APIKey, len(keys))}
	for i, k := range keys {
		list.Keys[i] = s.described(k, client.Plan)
	}
	return list, nil
}

// described adds what follows from a key's times. A plan that is gone has the
// default maximum age.
func (s *Service) described(k api.APIKey, plan string) api.APIKey {
	now := s.Now()
	k.State = State(&clients.Key{APIKey: k}, now)
	if p, err := s.Policy.PlanOf(plan); err == nil && p.MaxKeyAge > 0 {
		k.Overdue = k.State == api.KeyActive && now.Sub(k.CreatedAt) > p.MaxKeyAge
	}
	return k
}

// State names what a key's times make of it.
func State(k *clients.Key, now time.Time) string {
	switch k.State(now) {
	case clients.ReasonRevoked:
		return api.KeyRevoked
	case clients.ReasonExpired:
		return api.KeyExpired
	}
	return api.KeyActive
}

// CreateKey makes a key. Only its hash is kept.
func (s *Service) CreateKey(ctx context.Context, req NewKeyRequest) (api.IssuedKey, error) {
	key, record, err := s.generate(req.id, req.ExpiresAt)
	if err != nil {
		return api.IssuedKey{}, err
	}
	stored, err := s.Store.AddKey(ctx, actor(ctx), record)
	if err != nil {
		return api.IssuedKey{}, public(err)
	}
	return api.IssuedKey{APIKey: s.described(stored, ""), Secret: key.Reveal()}, nil
}

func (s *Service) generate(clientID string, expires *time.Time) (api.Key, clients.Key, error) {
	if expires != nil && !expires.After(s.Now()) {
		return api.Key{}, clients.Key{}, ErrInvalidKey
	}
	key, err := api.GenerateKey(s.Environment)
	if err != nil {
		return api.Key{}, clients.Key{}, fmt.Errorf("generate a key: %w", err)
	}
	return key, clients.Key{
		APIKey: api.APIKey{ID: key.ID(), ClientID: clientID, ExpiresAt: expires},
		Hashed: s.Hashes.Hash(keyring.PurposeAPIKey, key.Reveal()),
	}, nil
}

// RotateKey makes a key's successor and ends the key itself after the overlap.
// The deadline is a time in its row: every replica holds it alike.
func (s *Service) RotateKey(ctx context.Context, req RotateRequest) (api.IssuedKey, error) {
	// Compared in seconds: a larger number would overflow a duration.
	if req.OverlapSeconds < 0 || req.OverlapSeconds > int64(s.Policy.Keys.MaxOverlap/time.Second) {
		return api.IssuedKey{}, ErrOverlap
	}
	key, record, err := s.generate(req.client, req.ExpiresAt)
	if err != nil {
		return api.IssuedKey{}, err
	}
	now := s.Now()
	stored, err := s.Store.RotateKey(ctx, actor(ctx), req.key, record, now, now.Add(time.Duration(req.OverlapSeconds)*time.Second))
	if err != nil {
		return api.IssuedKey{}, public(err)
	}
	return api.IssuedKey{APIKey: s.described(stored, ""), Secret: key.Reveal()}, nil
}

// ImportKey adds a key that was generated elsewhere; again changes nothing, and
// a revoked key stays so.
func (s *Service) ImportKey(ctx context.Context, req ImportRequest) (api.APIKey, error) {
	key, err := api.ParseKey(req.Secret)
	if err != nil || key.ID() != req.key {
		return api.APIKey{}, ErrInvalidKey
	}
	client, err := s.Store.Client(ctx, req.client)
	if err != nil {
		return api.APIKey{}, public(err)
	}
	stored, err := s.Store.Import(ctx, actor(ctx), req.client, key.ID(), s.Hashes.Hash(keyring.PurposeAPIKey, key.Reveal()))
	if err != nil {
		return api.APIKey{}, public(err)
	}
	return s.described(stored, client.Plan), nil
}

// RevokeKey ends a key at once.
func (s *Service) RevokeKey(ctx context.Context, ref KeyRef) (struct{}, error) {
	return struct{}{}, public(s.Store.RevokeKey(ctx, actor(ctx), ref.ClientID, ref.KeyID))
}
