package authn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config says whose tokens are accepted. One YAML file holds it for every
// service (environment variable AUTHN_CONFIG_FILE by convention).
type Config struct {
	// Issuers whose tokens are accepted; at least one.
	Issuers []IssuerConfig `yaml:"issuers"`
	// EntityTypes maps local entity types to the issuer's: order: client_shop:order.
	EntityTypes map[string]string `yaml:"entity_types"`
	// Cache bounds the cache of verified tokens.
	Cache CacheConfig `yaml:"cache"`
}

// CacheConfig bounds the cache of verified tokens.
type CacheConfig struct {
	// Entries is the most tokens remembered; 0 means 10000, negative disables the cache.
	Entries int `yaml:"entries"`
	// Bytes is the most memory the remembered tokens may take, estimated; 0 means 64 MiB.
	Bytes int64 `yaml:"bytes"`
}

// IssuerConfig describes one issuer. Empty fields take the profile's value.
type IssuerConfig struct {
	// Issuer is compared with `iss` byte for byte.
	Issuer string `yaml:"issuer"`
	// Profile is one of Profiles().
	Profile string `yaml:"profile"`
	// JWKSURLs are tried in order until one answers with a usable key.
	// They must be https, except to a loopback address or in development.
	JWKSURLs []string `yaml:"jwks_urls"`
	// Keys bounds how long keys are trusted.
	Keys KeysConfig `yaml:"keys"`
	// Algorithms accepted in the header's `alg`.
	Algorithms []string `yaml:"algorithms"`
	// Types accepted in the header's `typ`; "" allows its absence.
	Types []string `yaml:"types"`
	// Claims overrides the profile's claim names, field by field.
	Claims ClaimNames `yaml:"claims"`
	// ServiceMarks overrides the profile's: a claim and the value that makes
	// the caller a service ("*" for any value).
	ServiceMarks map[string]string `yaml:"service_marks"`
	// UserEvidence overrides what the profile requires of a token without a
	// service mark: EvidenceNone, EvidenceScopes or EvidenceSession.
	UserEvidence string `yaml:"user_evidence"`
	// PermissionsAuthoritative: whether a token without a permissions claim
	// has no permissions (true) or says nothing about them (false).
	PermissionsAuthoritative *bool `yaml:"permissions_authoritative"`
	// RolePermissions grants permissions for roles: role → entity type → permissions.
	RolePermissions map[string]map[string][]string `yaml:"role_permissions"`
	// Quirks tolerated, by name; overrides the profile's list. See Quirks().
	Quirks []string `yaml:"quirks"`
	// UserNamespace is put before `sub` to make the user ID. It is required
	// when more than one issuer issues users, because `sub` is unique only
	// within its issuer; no namespace may be the beginning of another.
	UserNamespace string `yaml:"user_namespace"`
	// UsersOf names another configured issuer about whose users this one
	// issues tokens (a token exchange, a second `iss` of the same provider).
	// `sub` is then that issuer's and gets that issuer's namespace.
	UsersOf string `yaml:"users_of"`
}

// KeysConfig bounds the trust in an issuer's keys.
type KeysConfig struct {
	// Refresh is how often the key set is fetched; default 5 minutes, at least 1 second.
	Refresh time.Duration `yaml:"refresh"`
	// RemovedTrust is how long a key is trusted after a fetched set no longer
	// has it; default 5 minutes. With Refresh it bounds the life of a
	// withdrawn key: Refresh × 1.1 + RemovedTrust.
	RemovedTrust *time.Duration `yaml:"removed_trust"`
	// MaxAge is how long the last good key set is trusted when it can no
	// longer be fetched, across restarts too; default 72 hours.
	MaxAge time.Duration `yaml:"max_age"`
}

// ClaimNames says which claims hold what. Each is one name or a list of
// names; the first that is present counts, except for Scopes and Roles, whose
// claims add up. A name that begins with "/" is a JSON Pointer (RFC 6901) into
// nested objects: /realm_access/roles.
type ClaimNames struct {
	// ClientID: a string; Principal.ClientID.
	ClientID Names `yaml:"client_id"`
	// Kind: "user" or "service"; read by the profiles shadowless and auther.
	Kind Names `yaml:"kind"`
	// Scopes: a space separated string or an array; Principal.Scopes.
	Scopes Names `yaml:"scopes"`
	// Roles: a space separated string or an array; Principal.Roles.
	Roles Names `yaml:"roles"`
	// Permissions: an object of arrays, entity type to names; Principal.Permissions.
	Permissions Names `yaml:"permissions"`
	// ABACRequired: an object like Permissions; Principal.ABACRequired.
	ABACRequired Names `yaml:"abac_required"`
	// ClientFullAccess: an array of clients; Principal.ClientFullAccess.
	ClientFullAccess Names `yaml:"client_full_access"`
	// TenantID: a string; Principal.TenantID.
	TenantID Names `yaml:"tenant_id"`
	// SessionID: a string; Principal.SessionID.
	SessionID Names `yaml:"session_id"`
	// TokenID: a string; Principal.TokenID.
	TokenID Names `yaml:"token_id"`
	// AuthTime: a NumericDate; Principal.AuthTime.
	AuthTime Names `yaml:"auth_time"`
	// ACR: a string; Principal.ACR.
	ACR Names `yaml:"acr"`
}

// Names is a list of claim names; in YAML a single name may stand for itself.
type Names []string

// UnmarshalYAML accepts a name or a list of names.
func (n *Names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		var one string
		if err := node.Decode(&one); err != nil {
			return err
		}
		*n = Names{one}
		return nil
	}
	var many []string
	if err := node.Decode(&many); err != nil {
		return err
	}
	*n = many
	return nil
}

// LoadConfig reads and checks the file at path. See ParseConfig.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read authn configuration: %w", err)
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads a YAML document. Unknown keys are refused, and the error
// names every fault at once, each with the issuer and field it is about.
func ParseConfig(data []byte) (Config, error) {
	var cfg Config
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var faults []error
	err := dec.Decode(&cfg)
	var typeErr *yaml.TypeError
	switch {
	case errors.As(err, &typeErr):
		// The decoder goes on after such faults, so the rest can still be checked.
		for _, e := range typeErr.Errors {
			faults = append(faults, errors.New(e))
		}
	case errors.Is(err, io.EOF):
		return Config{}, errors.New("authn configuration is empty")
	case err != nil:
		return Config{}, fmt.Errorf("parse authn configuration: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		faults = append(faults, errors.New("authn configuration must be one YAML document"))
	}
	if err := cfg.Validate(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return Config{}, errors.Join(faults...)
	}
	return cfg, nil
}
