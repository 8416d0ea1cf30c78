package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
)

// An API key is sl_<env>_<id>_<secret>_<checksum>. The prefix makes a leaked
// one findable, the ID finds its row, the checksum tells a mistyped key from a
// wrong one without a look-up. 43 letters of base 62 hold 256 bits.
const (
	keyPrefix      = "sl"
	keyIDLength    = 16
	secretLength   = 43
	checksumLength = 6
	maxEnvironment = 16
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	// MaxKeyLength bounds what ParseKey looks at, in bytes.
	MaxKeyLength = 128
)

// ErrMalformedKey: not an API key, or one with a typing mistake.
var ErrMalformedKey = errors.New("malformed API key")

// Key is an API key. Printing it shows everything but the secret.
type Key struct {
	env, id, secret string
}

// GenerateKey makes a key offline. env is a label of 1 to 16 lower-case letters
// and digits ("dev", "live") that people and scanners read.
func GenerateKey(env string) (Key, error) {
	if !isEnvironment(env) {
		return Key{}, fmt.Errorf("environment label %q must be 1 to 16 lower-case letters or digits", env)
	}
	return Key{env: env, id: random(keyIDLength), secret: random(secretLength)}, nil
}

// ParseKey reads a key and checks its checksum. The error is ErrMalformedKey
// and never quotes its input.
func ParseKey(s string) (Key, error) {
	if len(s) > MaxKeyLength {
		return Key{}, ErrMalformedKey
	}
	var parts [5]string
	rest, more := s, true
	for i := range parts {
		if !more {
			return Key{}, ErrMalformedKey
		}
		parts[i], rest, more = strings.Cut(rest, "_")
	}
	if more || parts[0] != keyPrefix || !isEnvironment(parts[1]) ||
		len(parts[2]) != keyIDLength || !alphanumeric(parts[2]) || len(parts[3]) != secretLength || !alphanumeric(parts[3]) {
		return Key{}, ErrMalformedKey
	}
	k := Key{env: parts[1], id: parts[2], secret: parts[3]}
	if checksum(s[:len(s)-len(parts[4])-1]) != parts[4] {
		return Key{}, ErrMalformedKey
	}
	return k, nil
}

// Environment is the key's label.
func (k Key) Environment() string { return k.env }

// ID is public: it names the key in lists and logs.
func (k Key) ID() string { return k.id }

// Reveal is the whole key, for the one moment when it is handed over.
func (k Key) Reveal() string { return k.body() + "_" + checksum(k.body()) }

// String hides the secret.
func (k Key) String() string { return keyPrefix + "_" + k.env + "_" + k.id + "_…" }

// GoString hides the secret from %#v too.
func (k Key) GoString() string { return k.String() }

func (k Key) body() string { return keyPrefix + "_" + k.env + "_" + k.id + "_" + k.secret }

func isEnvironment(label string) bool {
	for _, c := range []byte(label) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(label) >= 1 && len(label) <= maxEnvironment
}

func alphanumeric(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// checksum is CRC-32 (IEEE) in base 62. It finds typing mistakes; it protects nothing.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var out [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		out[i] = alphabet[sum%uint32(len(alphabet))]
		sum /= uint32(len(alphabet))
	}
	return string(out[:])
}

func random(n int) string {
	size := big.NewInt(int64(len(alphabet)))
	out := make([]byte, n)
	for i := range out {
		// crypto/rand ends the process when it has no randomness.
		letter, err := rand.Int(rand.Reader, size)
		if err != nil {
			panic(err)
		}
		out[i] = alphabet[letter.Int64()]
	}
	return string(out)
}
