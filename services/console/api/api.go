// Package api is what other programs may import of the console: the wire types
// and the client of its JSON routes.
package api

import (
	"context"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Audience is what a token for the console has in `aud`.
const Audience = "console"

// Error is a refusal by the console; find it with errors.As.
type Error = apiclient.Error

// SignUp is the body of POST /v1/sign-up. It must not be logged.
type SignUp struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
}

// String keeps the personal data out of logs.
func (SignUp) String() string { return "sign-up" }

// GoString is String.
func (s SignUp) GoString() string { return s.String() }

// SignedUp is its answer.
type SignedUp struct {
	UserID string `json:"user_id"`
}

// Me is the answer of GET /v1/me: what the session's token says.
type Me struct {
	UserID             string              `json:"user_id"`
	Kind               string              `json:"kind"`
	Issuer             string              `json:"issuer"`
	ClientID           string              `json:"client_id"`
	Audiences          []string            `json:"audiences"`
	Scopes             []string            `json:"scopes"`
	TenantID           string              `json:"tenant_id,omitempty"`
	SessionID          string              `json:"session_id,omitempty"`
	TokenID            string              `json:"token_id"`
	ACR                string              `json:"acr,omitempty"`
	Permissions        map[string][]string `json:"permissions"`
	ABACRequired       map[string][]string `json:"abac_required"`
	IssuedAt           time.Time           `json:"issued_at"`
	OriginallyIssuedAt time.Time           `json:"originally_issued_at"`
	ExpiresAt          time.Time           `json:"expires_at"`
	Revocations        Revocations         `json:"revocations"`
}

// Revocations is what this replica knows of revocations.
type Revocations struct {
	Loaded  bool `json:"loaded"`
	Entries int  `json:"entries"`
	// StalenessMS is how long ago it last heard of them, in milliseconds; null
	// if it never did.
	StalenessMS *int64 `json:"staleness_ms"`
}

// Client calls the console.
type Client struct{ client *apiclient.Client }

// NewClient makes a client of the console at baseURL.
func NewClient(baseURL string, client *http.Client) (*Client, error) {
	c, err := apiclient.New(baseURL, client)
	if err != nil {
		return nil, err
	}
	return &Client{client: c}, nil
}

// SignUp makes an account at the identity provider.
func (c *Client) SignUp(ctx context.Context, in SignUp) (SignedUp, error) {
	return apiclient.Do[SignedUp](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "sign-up"}, Body: in,
	})
}
