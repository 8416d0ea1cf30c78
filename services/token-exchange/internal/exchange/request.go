// Package exchange turns proven clients and verified users into tokens. Every
// grant says only whom a token is about; who asks, for which audience, with which
// scope, for how long and what is recorded are phases that all grants share, so
// that none can forget one.
package exchange

import "github.com/shadowless/shadowless/services/token-exchange/internal/clients"

// Request is a parsed request for a token.
type Request struct {
	GrantType string
	Scopes    []string // as asked for, without duplicates
	Audiences []string
	Resources []string

	// Credential is the client's, from the Authorization header or the body.
	clients.Credential

	// RFC 8693, section 2.1.
	SubjectToken       string
	SubjectTokenType   string
	ActorToken         string
	ActorTokenType     string
	RequestedTokenType string

	// OpaqueToken is the identity provider's opaque access token, beside an
	// id_token at the front door.
	OpaqueToken string
	// Tenant that the token shall be for.
	Tenant string
}

// Token types (RFC 8693, section 3).
const (
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
)

// Issued is a token and what the answer says of it.
type Issued struct {
	AccessToken     string `json:"access_token"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"` // seconds
	Scope           string `json:"scope,omitempty"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`

	ExpiresAt int64  `json:"-"` // Unix seconds
	TokenID   string `json:"-"` // for the audit, where another minted it
}
