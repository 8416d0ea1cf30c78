// Package keyset keeps the last good key set of each issuer in a NATS key-value
// bucket, for services whose pods lose their disks. Each service has its own
// keys below its own name, and NATS's permissions must let it write no other:
// whoever can write another service's key set can sign tokens that it accepts.
package keyset

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn"
)

// timeout bounds one call: a verifier that starts asks here first, and NATS may
// be down.
const timeout = 3 * time.Second

// Store is an authn.KeyStore.
type Store struct {
	js      jetstream.JetStream
	bucket  string
	service string
}

var _ authn.KeyStore = (*Store)(nil)

// NewStore keeps key sets in bucket, which must exist, below the service's name.
func NewStore(js jetstream.JetStream, bucket, service string) *Store {
	return &Store{js: js, bucket: bucket, service: service}
}

type entry struct {
	Issuer    string          `json:"issuer"`
	FetchedAt time.Time       `json:"fetched_at"`
	JWKS      json.RawMessage `json:"jwks"`
}

// Load returns what Save kept, or authn.ErrNoStoredKeys.
func (s *Store) Load(ctx context.Context, issuer string) (authn.StoredKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	kv, err := s.js.KeyValue(ctx, s.bucket)
	if err != nil {
		return authn.StoredKeys{}, fmt.Errorf("open the bucket of key sets: %w", err)
	}
	kept, err := kv.Get(ctx, s.key(issuer))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return authn.StoredKeys{}, authn.ErrNoStoredKeys
	}
	if err != nil {
		return authn.StoredKeys{}, fmt.Errorf("read the key set: %w", err)
	}
	var e entry
	if err := json.Unmarshal(kept.Value(), &e); err != nil {
		return authn.StoredKeys{}, fmt.Errorf("read the key set: %w", err)
	}
	if e.Issuer != issuer {
		return authn.StoredKeys{}, errors.New("read the key set: the entry is another issuer's")
	}
	return authn.StoredKeys{JWKS: e.JWKS, FetchedAt: e.FetchedAt}, nil
}

// Save replaces what is kept.
func (s *Store) Save(ctx context.Context, issuer string, keys authn.StoredKeys) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := json.Marshal(entry{Issuer: issuer, FetchedAt: keys.FetchedAt, JWKS: keys.JWKS})
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	kv, err := s.js.KeyValue(ctx, s.bucket)
	if err != nil {
		return fmt.Errorf("open the bucket of key sets: %w", err)
	}
	if _, err := kv.Put(ctx, s.key(issuer), raw); err != nil {
		return fmt.Errorf("keep the key set: %w", err)
	}
	return nil
}

// key hashes the issuer: a URL is no KV key.
func (s *Store) key(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return s.service + "." + base64.RawURLEncoding.EncodeToString(sum[:])
}
