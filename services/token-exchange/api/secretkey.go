package api

import (
	"crypto/rand"
	"encoding/base64"
)

// SecretKeySize is the length of the service's own keys, in bytes.
const SecretKeySize = 32

// GenerateSecretKey returns one line for TOKEN_EXCHANGE_KEY_HASH_KEY_FILE or
// TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE: "<id>:<base64 of 32 random bytes>".
// The first line of such a file makes new values, the others still read old ones.
func GenerateSecretKey(id string) string {
	secret := make([]byte, SecretKeySize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	return id + ":" + base64.StdEncoding.EncodeToString(secret) + "\n"
}
