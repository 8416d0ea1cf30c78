package api

import (
	"context"
	"net/http"
	"time"
)

// States of a signing key.
const (
	SigningKeyAnnounced = "announced" // published, signs later
	SigningKeySigning   = "signing"
	SigningKeyRetained  = "retained" // published for what it signed
	SigningKeyEnding    = "ending"   // by command; not published from ends_at on
)

// SigningKey is what may be known of a signing key.
type SigningKey struct {
	KeyID           string     `json:"kid"`
	Algorithm       string     `json:"algorithm"`
	State           string     `json:"state"`
	CreatedAt       time.Time  `json:"created_at"`
	SignsFrom       time.Time  `json:"signs_from"`
	EndsAt          *time.Time `json:"ends_at,omitempty"`
	EncryptionKeyID string     `json:"encryption_key_id"`
}

// SigningKeyList is in the order in which the keys sign.
type SigningKeyList struct {
	Keys []SigningKey `json:"keys"`
}

// Rotation asks for a new signing key.
type Rotation struct {
	// Emergency ends every other key at once, for keys that others may know.
	// Without it the key is published first and signs later.
	Emergency bool `json:"emergency"`
}

// SecretKey is one key of the service's own key files, and what depends on it.
type SecretKey struct {
	ID      string `json:"id"`
	File    string `json:"file"` // "key_hash" or "key_encryption"
	Current bool   `json:"current"`
	// InFile is false for a key that something still depends on.
	InFile      bool  `json:"in_file"`
	APIKeys     int64 `json:"api_keys"`
	Blocks      int64 `json:"blocks"`
	SigningKeys int64 `json:"signing_keys"`
}

// SecretKeyList lists them by file.
type SecretKeyList struct {
	Keys []SecretKey `json:"keys"`
}

// SigningKeys lists the signing keys.
func (a *Admin) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	list, err := do[SigningKeyList](ctx, a, http.MethodGet, nil, "signing-keys")
	return list.Keys, err
}

// RotateSigningKeys makes a new signing key and returns all of them.
func (a *Admin) RotateSigningKeys(ctx context.Context, r Rotation) ([]SigningKey, error) {
	list, err := do[SigningKeyList](ctx, a, http.MethodPost, r, "signing-keys")
	return list.Keys, err
}

// SecretKeys lists the service's own keys and what depends on them.
func (a *Admin) SecretKeys(ctx context.Context) ([]SecretKey, error) {
	list, err := do[SecretKeyList](ctx, a, http.MethodGet, nil, "secret-keys")
	return list.Keys, err
}

// EndTokens ends every token that a client got until now.
func (a *Admin) EndTokens(ctx context.Context, id string) error {
	_, err := do[struct{}](ctx, a, http.MethodPost, nil, "clients", id, "end-tokens")
	return err
}
