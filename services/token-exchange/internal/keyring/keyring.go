// Package keyring reads the service's own secret keys from files and uses them:
// one ring hashes API keys and user IDs, another encrypts signing keys. The
// first key of a file makes new values, the others still read old ones, which is
// how a key is rotated without downtime.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const maxFileSize = 64 << 10

// ErrUnknownKey: the value was made with a key that the file no longer has.
var ErrUnknownKey = errors.New("key is not in the key file")

var idPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,64}$`)

// Ring holds the keys of one file. It is safe for concurrent use.
type Ring struct {
	path string
	keys atomic.Pointer[[]key]
}

type key struct {
	id     string
	secret []byte
}

// Load reads "<id>:<base64 of 32 bytes>" lines; "#" starts a comment line.
// Errors never quote a key.
func Load(path string) (*Ring, error) {
	keys, err := read(path)
	if err != nil {
		return nil, err
	}
	ring := &Ring{path: path}
	ring.keys.Store(&keys)
	return ring, nil
}

func read(path string) ([]key, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a key file: %w", err)
	}
	if len(raw) > maxFileSize {
		return nil, fmt.Errorf("key file %s is larger than %d bytes", path, maxFileSize)
	}
	var keys []key
	for number, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, found := strings.Cut(line, ":")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case !found || !idPattern.MatchString(id):
			return nil, fmt.Errorf("key file %s line %d: want <id>:<base64>", path, number+1)
		case err != nil || len(secret) != api.SecretKeySize:
			return nil, fmt.Errorf("key file %s line %d: want the base64 of %d bytes", path, number+1, api.SecretKeySize)
		case find(keys, id) != nil:
			return nil, fmt.Errorf("key file %s line %d: the ID stands there twice", path, number+1)
		}
		keys = append(keys, key{id: id, secret: secret})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key file %s holds no key", path)
	}
	return keys, nil
}

func (r *Ring) all() []key { return *r.keys.Load() }

func find(keys []key, id string) *key {
	for i := range keys {
		if keys[i].id == id {
			return &keys[i]
		}
	}
	return nil
}

// Has reports whether the file has the key.
func (r *Ring) Has(id string) bool { return find(r.all(), id) != nil }

// IDs names the keys; the first makes new values.
func (r *Ring) IDs() []string {
	keys := r.all()
	ids := make([]string, len(keys))
	for i := range keys {
		ids[i] = keys[i].id
	}
	return ids
}

// CurrentID names the key that makes new values.
func (r *Ring) CurrentID() string { return r.all()[0].id }

// Purpose separates hashes that must never be comparable.
type Purpose string

// The purposes.
const (
	PurposeAPIKey Purpose = "api-key"
	PurposeUser   Purpose = "user"
)

// Hashed is a hash and the ID of the key that made it.
type Hashed struct {
	KeyID string
	Hash  []byte
}

// Hash is HMAC-SHA256 under the current key.
func (r *Ring) Hash(purpose Purpose, value string) Hashed {
	k := &r.all()[0]
	return Hashed{KeyID: k.id, Hash: k.hash(purpose, value)}
}

// HashUnder is Hash with the key that made an older value.
func (r *Ring) HashUnder(id string, purpose Purpose, value string) ([]byte, error) {
	k := find(r.all(), id)
	if k == nil {
		return nil, ErrUnknownKey
	}
	return k.hash(purpose, value), nil
}

// Hashes is the value under every key, the current one first: for look-ups by hash.
func (r *Ring) Hashes(purpose Purpose, value string) []Hashed {
	keys := r.all()
	all := make([]Hashed, len(keys))
	for i := range keys {
		all[i] = Hashed{KeyID: keys[i].id, Hash: keys[i].hash(purpose, value)}
	}
	return all
}

func (k *key) hash(purpose Purpose, value string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return mac.Sum(nil)
}

// Seal encrypts with AES-256-GCM under the current key and binds the result to
// the additional data: it opens for the same data alone.
func (r *Ring) Seal(plain, bound []byte) (sealed []byte, keyID string, err error) {
	k := &r.all()[0]
	aead, err := k.aead()
	if err != nil {
		return nil, "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return aead.Seal(nonce, nonce, plain, bound), k.id, nil
}

// Open decrypts what Seal made under the named key.
func (r *Ring) Open(keyID string, sealed, bound []byte) ([]byte, error) {
	k := find(r.all(), keyID)
	if k == nil {
		return nil, ErrUnknownKey
	}
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("sealed value is too short")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound)
	if err != nil {
		return nil, errors.New("sealed value does not open: another key or other additional data")
	}
	return plain, nil
}

func (k *key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, fmt.Errorf("make the cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher: %w", err)
	}
	return aead, nil
}
