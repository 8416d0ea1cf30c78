package api

import (
	"time"
)

// AdminScope is the scope that administration needs, at the audience
// "token-exchange".
const AdminScope = "token-exchange:admin"

// Audience is what a client may do at one service that it calls.
type Audience struct {
	// Scopes the client may have in tokens for itself.
	Scopes []string `json:"scopes,omitempty" yaml:"scopes"`
	// DelegableScopes the client may have in tokens on a user's behalf. Users'
	// tokens of the identity provider carry none of these scopes, so it is
	// this list that bounds what the client may do for a user.
	DelegableScopes []string `json:"delegable_scopes,omitempty" yaml:"delegable_scopes"`
}

// ClientSpec is what an operator decides about a client.
type ClientSpec struct {
	// ID is 1 to 63 lower-case letters, digits and dashes.
	ID string `json:"id" yaml:"id"`
	// Name is for people.
	Name string `json:"name,omitempty" yaml:"name"`
	// GrantTypes that the client may use; empty: client_credentials and token exchange.
	GrantTypes []string `json:"grant_types,omitempty" yaml:"grant_types"`
	// Audiences are the services that the client may call.
	Audiences map[string]Audience `json:"audiences,omitempty" yaml:"audiences"`
	// DefaultAudience is meant where a request names none; needed only with
	// more than one audience.
	DefaultAudience string `json:"default_audience,omitempty" yaml:"default_audience"`
	// Permissions are the client's own, by entity type; each token gets those
	// of its audience.
	Permissions map[string][]string `json:"permissions,omitempty" yaml:"permissions"`
	// FrontDoor clients may turn an id_token into a user's token.
	FrontDoor bool `json:"front_door,omitempty" yaml:"front_door"`
	// OIDCClientID is the client at the identity provider whose id_tokens a
	// front door may exchange.
	OIDCClientID string `json:"oidc_client_id,omitempty" yaml:"oidc_client_id"`
	// Workloads prove the client by their own tokens, without an API key.
	Workloads []Workload `json:"workloads,omitempty" yaml:"workloads"`
	// Plan names the policy's plan that bounds the client; empty: the defaults.
	Plan string `json:"plan,omitempty" yaml:"plan"`
	// AllowedAddresses are the networks (CIDR) that the client calls from;
	// empty: any. An address that is not certain is refused.
	AllowedAddresses []string `json:"allowed_addresses,omitempty" yaml:"allowed_addresses"`
}

// Client is a registered client.
type Client struct {
	ClientSpec
	Blocked     bool      `json:"blocked"`
	BlockReason string    `json:"block_reason,omitempty"`
	Source      string    `json:"source"` // "file" or "api"
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// ClientPatch changes what is not nil.
type ClientPatch struct {
	Name             *string              `json:"name,omitempty"`
	GrantTypes       *[]string            `json:"grant_types,omitempty"`
	Audiences        *map[string]Audience `json:"audiences,omitempty"`
	DefaultAudience  *string              `json:"default_audience,omitempty"`
	Permissions      *map[string][]string `json:"permissions,omitempty"`
	FrontDoor        *bool                `json:"front_door,omitempty"`
	OIDCClientID     *string              `json:"oidc_client_id,omitempty"`
	Workloads        *[]Workload          `json:"workloads,omitempty"`
	Plan             *string              `json:"plan,omitempty"`
	AllowedAddresses *[]string            `json:"allowed_addresses,omitempty"`
	Blocked          *bool                `json:"blocked,omitempty"`
	BlockReason      *string              `json:"block_reason,omitempty"`
}

// ClientList is the answer of GET /v1/clients.
type ClientList struct {
	Clients []Client `json:"clients"`
}

// APIKey is what may be known of a key after it was handed over.
type APIKey struct {
	ID         string     `json:"id"`
	ClientID   string     `json:"client_id"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
	// ReplacedBy is the key that took over when this one was rotated.
	ReplacedBy string `json:"replaced_by,omitempty"`
	// State is "active", "expired" or "revoked".
	State string `json:"state"`
	// Overdue keys are older than the client's plan wants; they still work.
	Overdue bool `json:"overdue,omitzero"`
}

// States of a key.
const (
	KeyActive  = "active"
	KeyExpired = "expired"
	KeyRevoked = "revoked"
	KeyBlocked = "blocked" // its client is
)

// KeyList is the answer of GET /v1/clients/{id}/keys.
type KeyList struct {
	Keys []APIKey `json:"keys"`
}

// NewKey asks for a key.
type NewKey struct {
	// ExpiresAt ends the key's life; nil: it lives until it is revoked.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// RotateKey asks for a key's successor.
type RotateKey struct {
	// OverlapSeconds is how long the old key goes on; 0 ends it at once. More
	// than the policy's max_overlap is refused.
	OverlapSeconds int64 `json:"overlap_seconds"`
	// ExpiresAt ends the new key's life; nil: it lives until it is revoked.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// ImportedKey is a key that was generated elsewhere (GenerateKey).
type ImportedKey struct {
	Secret string `json:"api_key"`
}

// PresentedKey is a key in the hands of whoever asks about it.
type PresentedKey struct {
	Secret string `json:"api_key"`
}

// KeyStatus is what a key's holder may know of it. State is "blocked" where the
// client is, and then BlockReason says why.
type KeyStatus struct {
	ClientID    string     `json:"client_id"`
	KeyID       string     `json:"key_id"`
	State       string     `json:"state"`
	BlockReason string     `json:"block_reason,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	ReplacedBy  string     `json:"replaced_by,omitempty"`
}

// IssuedKey holds the key itself: it is shown this once.
type IssuedKey struct {
	APIKey
	Secret string `json:"api_key"`
}
