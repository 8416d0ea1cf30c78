// Package seal encrypts what leaves the process: tokens in the database and the
// state of a sign-in in a cookie. AES-256-GCM, one derived key per purpose, so
// that a text sealed for one can never be opened as another.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/shadowless/shadowless/internal/config"
)

const (
	keyBytes = 32
	idBytes  = 4
)

// ErrOpen is returned for whatever was not sealed by one of the keys, for this
// purpose and bound to this data.
var ErrOpen = errors.New("not sealed by a known key")

// Keyring seals with its first key and opens with all of them.
type Keyring struct{ secrets [][]byte }

// NewKey returns a line for a key file: 32 random bytes in base64.
func NewKey() string {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails, crypto/rand ends the process instead
	return base64.StdEncoding.EncodeToString(secret) + "\n"
}

// Load reads a file with one key a line: 32 bytes in base64, as `openssl rand
// -base64 32` prints them. The first seals; to rotate, put a new key first and
// keep the old one for as long as a session may live.
func Load(path string) (*Keyring, error) {
	text, err := config.ReadSecretFile(path)
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(secret) != keyBytes {
			return nil, fmt.Errorf("key %d of %s is not %d bytes in base64", len(k.secrets)+1, path, keyBytes)
		}
		k.secrets = append(k.secrets, secret)
	}
	if len(k.secrets) == 0 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return k, nil
}

// Box seals and opens for one purpose. It is safe for concurrent use.
type Box struct{ keys []sealingKey }

type sealingKey struct {
	id   []byte
	aead cipher.AEAD
}

// For derives the keys of a purpose.
func (k *Keyring) For(purpose string) (*Box, error) {
	b := &Box{}
	for _, secret := range k.secrets {
		derived, err := hkdf.Key(sha256.New, secret, nil, "shadowless console: "+purpose, idBytes+keyBytes)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		block, err := aes.NewCipher(derived[idBytes:])
		if err != nil {
			return nil, fmt.Errorf("make the cipher: %w", err)
		}
		// Random 96-bit nonces are safe for 2^32 texts a key (NIST SP 800-38D, 8.3).
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("make the cipher: %w", err)
		}
		b.keys = append(b.keys, sealingKey{id: derived[:idBytes], aead: aead})
	}
	return b, nil
}

// Seal encrypts plain; Open needs the same bound data.
func (b *Box) Seal(plain, bound []byte) []byte {
	key := b.keys[0]
	return key.aead.Seal(bytes.Clone(key.id), nil, plain, bound) //nolint:gosec // this cipher draws the nonce itself
}

// Open returns what was sealed, or ErrOpen.
func (b *Box) Open(sealed, bound []byte) ([]byte, error) {
	if len(sealed) < idBytes {
		return nil, ErrOpen
	}
	for _, key := range b.keys {
		if !bytes.Equal(key.id, sealed[:idBytes]) {
			continue
		}
		plain, err := key.aead.Open(nil, nil, sealed[idBytes:], bound)
		if err == nil {
			return plain, nil
		}
	}
	return nil, ErrOpen
}
