package users

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"

	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
)

// Bounds of a password, in bytes.
const (
	MinPassword = 8
	MaxPassword = 128
)

// scrypt's cost. Development accounts are few and tests many, so it is the
// lowest that is still a work factor: about 3 ms, and 20 under the race detector.
const (
	scryptN = 1 << 10
	scryptR = 8
	scryptP = 1
	keySize = 32
)

// absent is compared against when there is no account or no password, so that
// an unknown address takes as long as a known one.
var absent = HashPassword("the password of nobody")

// HashPassword derives the text that is stored.
func HashPassword(password string) string {
	salt := random.Bytes(16)
	return "scrypt$" + encode(salt) + "$" + encode(derive(password, salt))
}

// CheckPassword compares in constant time. A nil hash matches nothing.
func CheckPassword(hash *string, password string) bool {
	known := hash != nil
	if !known {
		hash = &absent
	}
	parts := strings.Split(*hash, "$")
	if len(parts) != 3 || parts[0] != "scrypt" {
		return false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[1])
	want, keyErr := base64.RawStdEncoding.DecodeString(parts[2])
	if saltErr != nil || keyErr != nil {
		return false
	}
	return subtle.ConstantTimeCompare(derive(password, salt), want) == 1 && known
}

func derive(password string, salt []byte) []byte {
	key, err := scrypt.Key([]byte(password), salt, scryptN, scryptR, scryptP, keySize)
	if err != nil {
		panic(fmt.Sprintf("scrypt's constants: %v", err)) // the parameters are constants
	}
	return key
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
