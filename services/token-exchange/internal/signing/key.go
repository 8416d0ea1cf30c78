package signing

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Record is a key as it is stored: its private part is sealed.
type Record struct {
	KeyID           string
	Algorithm       string
	Public          JWK
	Sealed          []byte
	EncryptionKeyID string
	CreatedAt       time.Time
	ActivatesAt     time.Time
	// RetiresAt ends the key before its time: from then on it neither signs nor
	// is published. Zero: the schedule decides.
	RetiresAt time.Time
}

func (r Record) retired(now time.Time) bool { return !r.RetiresAt.IsZero() && !r.RetiresAt.After(now) }

// Key is a key in memory.
type Key struct {
	Record
	private crypto.Signer
}

const kidSize = 12 // bytes of randomness

func newRecord(algorithm string, ring *keyring.Ring, now, activates time.Time) (Record, error) {
	private, err := generate(algorithm)
	if err != nil {
		return Record{}, fmt.Errorf("generate a signing key: %w", err)
	}
	id := make([]byte, kidSize)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the process instead
	r := Record{KeyID: base64.RawURLEncoding.EncodeToString(id), Algorithm: algorithm, CreatedAt: now, ActivatesAt: activates}
	if r.Public, err = publicJWK(r.KeyID, algorithm, private.Public()); err != nil {
		return Record{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, fmt.Errorf("encode a signing key: %w", err)
	}
	if r.Sealed, r.EncryptionKeyID, err = ring.Seal(der, r.bound()); err != nil {
		return Record{}, fmt.Errorf("seal a signing key: %w", err)
	}
	return r, nil
}

// bound is what the sealed key is bound to: a row whose kid or algorithm was
// exchanged does not open.
func (r Record) bound() []byte { return []byte("signing-key\x00" + r.Algorithm + "\x00" + r.KeyID) }

// resealed is the record with its private part under the current key.
func (r Record) resealed(ring *keyring.Ring) (Record, error) {
	der, err := ring.Open(r.EncryptionKeyID, r.Sealed, r.bound())
	if err != nil {
		return r, fmt.Errorf("open signing key %s: %w", r.KeyID, err)
	}
	if r.Sealed, r.EncryptionKeyID, err = ring.Seal(der, r.bound()); err != nil {
		return r, fmt.Errorf("seal signing key %s: %w", r.KeyID, err)
	}
	return r, nil
}

func (r Record) open(ring *keyring.Ring) (*Key, error) {
	der, err := ring.Open(r.EncryptionKeyID, r.Sealed, r.bound())
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: %w", r.KeyID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("decode signing key %s: %w", r.KeyID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s is a %T", r.KeyID, parsed)
	}
	return &Key{Record: r, private: private}, nil
}
