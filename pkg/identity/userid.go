package identity

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// MaxUserIDBytes is the length limit of a user ID (OpenID Connect Core, section 2: `sub`).
const MaxUserIDBytes = 255

// ErrInvalidUserID is returned by [CheckUserID]. It never quotes the ID.
var ErrInvalidUserID = errors.New("user ID is not 1 to 255 bytes of UTF-8 without control characters")

// CheckUserID returns [ErrInvalidUserID] unless id is 1 to 255 bytes of valid
// UTF-8 without control characters. That is the only rule: an ID is opaque and
// is never parsed, trimmed, lower-cased or normalised.
func CheckUserID(id string) error {
	if len(id) == 0 || len(id) > MaxUserIDBytes || !utf8.ValidString(id) {
		return ErrInvalidUserID
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return ErrInvalidUserID
		}
	}
	return nil
}
