// Package clients knows who may ask for tokens: registrations, their API keys,
// and how a presented key proves its client.
package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Grant types that a client can be allowed.
const (
	GrantClientCredentials = "client_credentials"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

var (
	defaultGrants = []string{GrantClientCredentials, GrantTokenExchange}

	idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// scopePattern is RFC 6749, section 3.3.
	scopePattern = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,128}$`)
)

// ErrInvalid: the registration breaks a rule.
var ErrInvalid = errors.New("client is not valid")

// Client is a registered client.
type Client struct {
	api.Client
	// Encoded is the registration as it is stored, until Decode reads it.
	Encoded []byte `json:"-"`
}

// Decode reads the encoded registration into the client, once.
func (c *Client) Decode() error {
	if c.Encoded == nil {
		return nil
	}
	id := c.ID
	c.ClientSpec = api.ClientSpec{}
	if err := json.Unmarshal(c.Encoded, &c.ClientSpec); err != nil {
		return fmt.Errorf("decode the registration of %s: %w", id, err)
	}
	c.ID, c.Encoded = id, nil
	return nil
}

// SubjectPrefix begins the `sub` of every client, which no user's may.
const SubjectPrefix = "client:"

// Subject is the client's `sub`.
func (c *Client) Subject() string { return SubjectPrefix + c.ID }

// MayUse reports whether the client is allowed the grant type.
func (c *Client) MayUse(grantType string) bool {
	if len(c.GrantTypes) == 0 {
		return slices.Contains(defaultGrants, grantType)
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// Registered reports whether the client has the scope at any audience.
func (c *Client) Registered(scope string) bool {
	for _, a := range c.Audiences {
		if slices.Contains(a.Scopes, scope) || slices.Contains(a.DelegableScopes, scope) {
			return true
		}
	}
	return false
}

// Default is the audience that is meant where none is named; "" if that is
// not clear.
func (c *Client) Default() string {
	if c.DefaultAudience == "" && len(c.Audiences) == 1 {
		for name := range c.Audiences {
			return name
		}
	}
	return c.DefaultAudience
}

// Key is an API key's record. Hash is a keyed hash of the whole key.
type Key struct {
	api.APIKey
	keyring.Hashed
}

// State says why a key cannot be used at the time, or "".
func (k *Key) State(now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return ReasonRevoked
	// The deadline itself is too late.
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return ReasonExpired
	}
	return ""
}

// Validate names every fault of a registration; the error wraps ErrInvalid.
func Validate(s api.ClientSpec) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !idPattern.MatchString(s.ID) {
		fault("id must be 1 to 63 lower-case letters, digits and dashes")
	}
	for _, g := range s.GrantTypes {
		if !slices.Contains(defaultGrants, g) {
			fault("grant_types: %q is none of %q", g, defaultGrants)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Audiences)) {
		if name == "" {
			fault("audiences: a name is empty")
		}
		a := s.Audiences[name]
		for _, scope := range slices.Concat(a.Scopes, a.DelegableScopes) {
			if !scopePattern.MatchString(scope) {
				fault("audiences.%s: %q is not a scope", name, scope)
			}
		}
	}
	if _, known := s.Audiences[s.DefaultAudience]; s.DefaultAudience != "" && !known {
		fault("default_audience is not among the audiences")
	}
	for _, network := range s.AllowedAddresses {
		if _, err := netip.ParsePrefix(network); err != nil {
			fault("allowed_addresses: %q is not a network such as 192.0.2.0/24", network)
		}
	}
	for i, w := range s.Workloads {
		if w.Issuer == "" || w.Subject == "" || slices.Contains(s.Workloads[:i], w) {
			fault("workloads[%d]: issuer and subject are required, once each", i)
		}
	}
	if s.FrontDoor != (s.OIDCClientID != "") {
		fault("front_door and oidc_client_id go together")
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(faults...))
	}
	return nil
}
