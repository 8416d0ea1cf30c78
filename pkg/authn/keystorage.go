package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// errReadOnly: the refresher alone changes keys.
var errReadOnly = errors.New("key storage is read-only")

// keyStorage is the jwkset.Storage behind an issuer's keyfunc. Reading a known
// key touches neither lock nor network.
type keyStorage struct {
	now func() time.Time
	set atomic.Pointer[keySet]
	// await is called for an unknown kid; it may have the keys fetched, and
	// returns nil once a look-up is worth repeating.
	await func(ctx context.Context, kid string) error
}

var _ jwkset.Storage = (*keyStorage)(nil)

func newKeyStorage(now func() time.Time) *keyStorage {
	s := &keyStorage{now: now}
	s.set.Store(&keySet{})
	return s
}

// KeyRead implements jwkset.Storage. The error is ErrUnknownKey or, where the
// issuer could not be asked, ErrKeysUnavailable.
func (s *keyStorage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	if jwk, _, ok := s.set.Load().lookup(kid, s.now()); ok {
		return jwk, nil
	}
	err := s.await(ctx, kid)
	if jwk, _, ok := s.set.Load().lookup(kid, s.now()); ok {
		return jwk, nil
	}
	switch {
	case err != nil:
		return jwkset.JWK{}, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	case !s.set.Load().usable(s.now()):
		return jwkset.JWK{}, ErrKeysUnavailable
	default:
		return jwkset.JWK{}, fmt.Errorf("%w: %w", ErrUnknownKey, jwkset.ErrKeyNotFound)
	}
}

// KeyReadAll implements jwkset.Storage: the keys trusted now.
func (s *keyStorage) KeyReadAll(context.Context) ([]jwkset.JWK, error) {
	set, now := s.set.Load(), s.now()
	all := make([]jwkset.JWK, 0, len(set.keys))
	for kid := range set.keys {
		if jwk, _, ok := set.lookup(kid, now); ok {
			all = append(all, jwk)
		}
	}
	return all, nil
}

// KeyDelete implements jwkset.Storage by refusing.
func (s *keyStorage) KeyDelete(context.Context, string) (bool, error) { return false, errReadOnly }

// KeyReplaceAll implements jwkset.Storage by refusing.
func (s *keyStorage) KeyReplaceAll(context.Context, []jwkset.JWK) error { return errReadOnly }

// KeyWrite implements jwkset.Storage by refusing.
func (s *keyStorage) KeyWrite(context.Context, jwkset.JWK) error { return errReadOnly }

// snapshot is a plain memory storage of the same keys, for the marshaling half
// of the interface.
func (s *keyStorage) snapshot(ctx context.Context) (*jwkset.MemoryJWKSet, error) {
	all, err := s.KeyReadAll(ctx)
	if err != nil {
		return nil, err
	}
	m := jwkset.NewMemoryStorage()
	return m, m.KeyReplaceAll(ctx, all)
}

// JSON implements jwkset.Storage.
func (s *keyStorage) JSON(ctx context.Context) (json.RawMessage, error) { return s.JSONPublic(ctx) }

// JSONPublic implements jwkset.Storage.
func (s *keyStorage) JSONPublic(ctx context.Context) (json.RawMessage, error) {
	m, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return m.JSONPublic(ctx)
}

// JSONPrivate implements jwkset.Storage; there are no private keys here.
func (s *keyStorage) JSONPrivate(ctx context.Context) (json.RawMessage, error) {
	return s.JSONPublic(ctx)
}

// JSONWithOptions implements jwkset.Storage.
func (s *keyStorage) JSONWithOptions(ctx context.Context, mo jwkset.JWKMarshalOptions, vo jwkset.JWKValidateOptions) (json.RawMessage, error) {
	m, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return m.JSONWithOptions(ctx, mo, vo)
}

// Marshal implements jwkset.Storage.
func (s *keyStorage) Marshal(ctx context.Context) (jwkset.JWKSMarshal, error) {
	m, err := s.snapshot(ctx)
	if err != nil {
		return jwkset.JWKSMarshal{}, err
	}
	return m.Marshal(ctx)
}

// MarshalWithOptions implements jwkset.Storage.
func (s *keyStorage) MarshalWithOptions(ctx context.Context, mo jwkset.JWKMarshalOptions, vo jwkset.JWKValidateOptions) (jwkset.JWKSMarshal, error) {
	m, err := s.snapshot(ctx)
	if err != nil {
		return jwkset.JWKSMarshal{}, err
	}
	return m.MarshalWithOptions(ctx, mo, vo)
}
