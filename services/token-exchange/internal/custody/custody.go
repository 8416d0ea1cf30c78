// Package custody is what an operator may do with the service's own keys: see
// which there are and what depends on them, and replace them. No key itself ever
// leaves the service.
package custody

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/admin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
)

// Ring is the signing keys.
type Ring interface {
	Keys() (keys []signing.Record, signer string)
	Announce(ctx context.Context, by string) error
	Replace(ctx context.Context, by string) error
}

// Uses counts what depends on the keys of the files.
type Uses interface {
	Uses(ctx context.Context) ([]keyring.Use, error)
}

// Holders ends what clients hold.
type Holders interface {
	EndTokens(ctx context.Context, actor, clientID string) error
}

// Options of New. All are required.
type Options struct {
	Ring       Ring
	Hashes     *keyring.Ring
	Encryption *keyring.Ring
	Uses       Uses
	Holders    Holders
	Now        func() time.Time
}

// Service answers operators.
type Service struct{ Options }

// New makes a service.
func New(o Options) *Service { return &Service{o} }

// SigningKeys lists the signing keys.
func (s *Service) SigningKeys(context.Context, struct{}) (api.SigningKeyList, error) {
	return s.list(), nil
}

// Rotate makes a new signing key.
func (s *Service) Rotate(ctx context.Context, r api.Rotation) (api.SigningKeyList, error) {
	rotate := s.Ring.Announce
	if r.Emergency {
		rotate = s.Ring.Replace
	}
	if err := rotate(ctx, actor(ctx)); err != nil {
		return api.SigningKeyList{}, problem.ErrUnavailable.Because(err).After(time.Second)
	}
	return s.list(), nil
}

func (s *Service) list() api.SigningKeyList {
	list, now := api.SigningKeyList{Keys: []api.SigningKey{}}, s.Now()
	keys, signer := s.Ring.Keys()
	for _, k := range keys {
		key := api.SigningKey{
			KeyID: k.KeyID, Algorithm: k.Algorithm, CreatedAt: k.CreatedAt, SignsFrom: k.ActivatesAt,
			State: api.SigningKeyRetained, EncryptionKeyID: k.EncryptionKeyID,
		}
		switch {
		case !k.RetiresAt.IsZero():
			key.State, key.EndsAt = api.SigningKeyEnding, &k.RetiresAt
		case k.ActivatesAt.After(now):
			key.State = api.SigningKeyAnnounced
		case k.KeyID == signer:
			key.State = api.SigningKeySigning
		}
		list.Keys = append(list.Keys, key)
	}
	return list
}

// SecretKeys lists the keys of the files, and those that a file should have.
func (s *Service) SecretKeys(ctx context.Context, _ struct{}) (api.SecretKeyList, error) {
	uses, err := s.Uses.Uses(ctx)
	if err != nil {
		return api.SecretKeyList{}, problem.ErrUnavailable.Because(err).After(time.Second)
	}
	var keys []api.SecretKey
	for _, file := range []struct {
		name string
		ring *keyring.Ring
	}{{"key_hash", s.Hashes}, {"key_encryption", s.Encryption}} {
		for i, id := range file.ring.IDs() {
			keys = append(keys, api.SecretKey{ID: id, File: file.name, Current: i == 0, InFile: true})
		}
	}
	for _, u := range uses {
		keys = count(keys, u)
	}
	return api.SecretKeyList{Keys: keys}, nil
}

// Ready fails where blocks or signing keys depend on a key that its file does not
// have: a blocked user would not be known, a restart would find no signing key.
// API keys are another matter: those that depend on a lost key are refused.
func (s *Service) Ready(ctx context.Context) error {
	list, err := s.SecretKeys(ctx, struct{}{})
	if err != nil {
		return err
	}
	for _, k := range list.Keys {
		if !k.InFile && k.Blocks+k.SigningKeys > 0 {
			return fmt.Errorf("the %s file lacks key %s, which stored values depend on", k.File, k.ID)
		}
	}
	return nil
}

func count(keys []api.SecretKey, u keyring.Use) []api.SecretKey {
	file := "key_hash"
	if u.What == keyring.SigningKeys {
		file = "key_encryption"
	}
	at := -1
	for i := range keys {
		if keys[i].File == file && keys[i].ID == u.KeyID {
			at = i
		}
	}
	if at < 0 {
		keys, at = append(keys, api.SecretKey{ID: u.KeyID, File: file}), len(keys)
	}
	switch u.What {
	case keyring.APIKeys:
		keys[at].APIKeys = u.Count
	case keyring.Blocks:
		keys[at].Blocks = u.Count
	case keyring.SigningKeys:
		keys[at].SigningKeys = u.Count
	}
	return keys
}

// EndTokens ends every token that a client got until now.
func (s *Service) EndTokens(ctx context.Context, ref admin.ClientRef) (struct{}, error) {
	err := s.Holders.EndTokens(ctx, actor(ctx), ref.ClientID)
	if errors.Is(err, clients.ErrNotFound) {
		return struct{}{}, problem.ErrNotFound.Because(err)
	}
	return struct{}{}, err
}

func actor(ctx context.Context) string {
	if p, ok := authn.FromContext(ctx); ok {
		return p.ClientID()
	}
	return ""
}

// Register serves the routes.
func Register(m *access.Mux, s *Service) {
	kit.Handle(m, "GET /v1/signing-keys", kit.NoBody[struct{}], s.SigningKeys, http.StatusOK)
	kit.Handle(m, "POST /v1/signing-keys", kit.JSON[api.Rotation], s.Rotate, http.StatusOK)
	kit.Handle(m, "GET /v1/secret-keys", kit.NoBody[struct{}], s.SecretKeys, http.StatusOK)
	kit.Handle(m, "POST /v1/clients/{id}/end-tokens", kit.NoBody[admin.ClientRef], s.EndTokens, http.StatusNoContent)
}
