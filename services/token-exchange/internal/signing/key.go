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
}

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
