// Package random makes the identifiers and secrets that Auther makes: letters
// and digits for identifiers, letters alone for opaque tokens.
package random

import (
	"crypto/rand"
	"encoding/hex"
)

const (
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	alphanumeric = letters + "0123456789"
	idLength     = 32
)

// ID is an identifier of 32 letters and digits.
func ID() string { return pick(alphanumeric, idLength) }

// Token is an opaque token of 32 letters, 182 bits.
func Token() string { return pick(letters, idLength) }

// Hex is n random bytes in lower-case hex.
func Hex(n int) string { return hex.EncodeToString(Bytes(n)) }

// Bytes are n random bytes. crypto/rand.Read never fails: it ends the program.
func Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// pick draws without bias: a byte past the last whole multiple is thrown away.
func pick(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	for len(out) < n {
		for _, b := range Bytes(n) {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
