// Package session keeps who is signed in: on the server, in Postgres. The
// browser holds one opaque random value; the database holds its hash and the
// tokens sealed.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// Why there is no session. Test for them with errors.Is.
var (
	// ErrNone: the cookie belongs to no session; it was ended, erased or never was.
	ErrNone = errors.New("no session")
	// ErrIdle: it was not used for longer than the idle limit.
	ErrIdle = errors.New("session was idle for too long")
	// ErrExpired: it reached its absolute end.
	ErrExpired = errors.New("session has reached its end")
)

const secretBytes = 32

// ID is the SHA-256 of the cookie's value. 256 random bits need no key and no
// slow hash: there is nothing to guess.
type ID [sha256.Size]byte

// newSecret makes a cookie's value.
func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails, crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(secret)
}

// idOf refuses what newSecret could not have made, which costs no database call.
func idOf(cookie string) (ID, error) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(secret) != secretBytes {
		return ID{}, ErrNone
	}
	return sha256.Sum256(secret), nil
}

// Tokens is what the console holds for a user. They never reach the browser.
type Tokens struct {
	// Access is what the console shows to other services.
	Access string `json:"access"`
	// Refresh gets the next Access from the identity provider.
	Refresh string `json:"refresh,omitempty"`
	// IDToken gets the next Access at the front door, while it lives.
	IDToken string `json:"id_token,omitempty"`
}

// Session is one browser's.
type Session struct {
	ID        ID
	UserID    string
	Tokens    Tokens
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
}
