// Package settings reads the identity provider's settings file: OAuth clients,
// registration contexts, API keys, webhook endpoints, the permission model and
// the users to seed.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	_ "embed"
)

//go:embed default.yaml
var defaults []byte

// Settings is the whole file. Unknown keys are refused.
type Settings struct {
	// SignUpSecret is what x-internal-signup-secret must hold.
	SignUpSecret Secret `yaml:"sign_up_secret"`
	// RotationSecret guards POST /api/internal/rotate-jwks.
	RotationSecret Secret `yaml:"rotation_secret"`
	// TokenAudience is the one audience of session and API-key JWTs.
	TokenAudience string `yaml:"token_audience"`
	// TrustedOrigins may send cookie requests besides the base URL's origin.
	TrustedOrigins []string `yaml:"trusted_origins,omitempty"`
	// DefaultTenant is a new account's active tenant.
	DefaultTenant string `yaml:"default_tenant"`

	Clients              []Client              `yaml:"clients,omitempty"`
	RegistrationContexts []RegistrationContext `yaml:"registration_contexts,omitempty"`
	APIKeys              []APIKey              `yaml:"api_keys,omitempty"`
	Webhooks             []Webhook             `yaml:"webhooks,omitempty"`
	// Model maps an entity type (client_shop:order) to its relations and policies.
	Model map[string]EntityType `yaml:"model,omitempty"`
	// TokenBuild is the Lua hook that adds claims to a promised access token;
	// empty uses the built-in one.
	TokenBuild string     `yaml:"token_build,omitempty"`
	Users      []SeedUser `yaml:"users,omitempty"`
}

// Secret is a literal value or the file that holds one.
type Secret struct {
	Value string `yaml:"value,omitempty"`
	File  string `yaml:"file,omitempty"`
}

// Client is an OAuth client. Without a secret it is public; PKCE with S256 is
// required of every one.
type Client struct {
	ID           string   `yaml:"id"`
	Secret       Secret   `yaml:"secret,omitempty"`
	RedirectURIs []string `yaml:"redirect_uris"`
	// Audiences are the `aud` of its access tokens.
	Audiences []string `yaml:"audiences"`
}

// Public says whether the client has no secret.
func (c Client) Public() bool { return c.Secret == Secret{} }

// RegistrationContext gives new accounts grants when they sign up with its slug.
type RegistrationContext struct {
	Slug   string `yaml:"slug"`
	Client string `yaml:"client"`
	// EmailDomains that may use it; empty allows every one.
	EmailDomains []string `yaml:"email_domains,omitempty"`
	Grants       []Grant  `yaml:"grants"`
}

// Grant is a relation on an entity. EntityID "*" is every entity of the type.
type Grant struct {
	EntityType string `yaml:"entity_type"`
	EntityID   string `yaml:"entity_id,omitempty"`
	Relation   string `yaml:"relation"`
	Tenant     string `yaml:"tenant,omitempty"`
}

// APIKey is a key that is known from the start. Client is its scope metadata;
// without one, exchange and check-permission answer 403.
type APIKey struct {
	ID         string  `yaml:"id"`
	Key        Secret  `yaml:"key"`
	OwnerEmail string  `yaml:"owner_email"`
	Client     string  `yaml:"client,omitempty"`
	FullAccess bool    `yaml:"full_access,omitempty"`
	Grants     []Grant `yaml:"grants,omitempty"`
}

// Webhook is an endpoint that is told of facts.
type Webhook struct {
	Name   string `yaml:"name"`
	URL    string `yaml:"url"`
	Secret Secret `yaml:"secret"`
	Format string `yaml:"format,omitempty"` // json (default) or form
	// OwnerEmail is the endpoint's owner. In observed mode user.*, session.* and
	// account.* events reach an endpoint of that very user alone.
	OwnerEmail string `yaml:"owner_email,omitempty"`
}

// EntityType is one row of the permission model.
type EntityType struct {
	// Relations maps a relation to the permissions it gives.
	Relations map[string][]string `yaml:"relations"`
	// Policies maps a permission to the Lua that must return true for it.
	Policies map[string]string `yaml:"policies,omitempty"`
}

// SeedUser is created at start, if seeding is on and the address is free.
type SeedUser struct {
	Email    string  `yaml:"email"`
	Password string  `yaml:"password"`
	Name     string  `yaml:"name"`
	Username string  `yaml:"username,omitempty"`
	Role     string  `yaml:"role,omitempty"`
	Grants   []Grant `yaml:"grants,omitempty"`
}

// Default is the built-in file: the demo's clients, model and users.
func Default() Settings {
	s, err := Parse(defaults)
	if err != nil {
		panic("the built-in settings: " + err.Error())
	}
	return s
}

// Load reads a file; the empty path is Default.
func Load(path string) (Settings, error) {
	if path == "" {
		return Default(), nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("read the settings: %w", err)
	}
	return Parse(content)
}

// Parse reads YAML, follows the secrets' files and reports every fault at once.
func Parse(content []byte) (Settings, error) {
	var s Settings
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("parse the settings: %w", err)
	}
	if err := s.complete(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

func (s *Settings) complete() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	secret := func(where string, sec *Secret) {
		if err := sec.read(); err != nil {
			fault("%s: %w", where, err)
		}
	}
	if s.TokenAudience == "" {
		fault("token_audience is missing")
	}
	if s.DefaultTenant == "" {
		fault("default_tenant is missing")
	}
	secret("sign_up_secret", &s.SignUpSecret)
	secret("rotation_secret", &s.RotationSecret)
	seen := map[string]bool{}
	unique := func(kind, id string) {
		if id == "" || seen[kind+id] {
			fault("%s %q is empty or given twice", kind, id)
		}
		seen[kind+id] = true
	}
	for i := range s.Clients {
		c := &s.Clients[i]
		unique("client", c.ID)
		if !c.Public() {
			secret("client "+c.ID, &c.Secret)
		}
		c.check(fault)
	}
	for i := range s.APIKeys {
		k := &s.APIKeys[i]
		unique("API key", k.ID)
		secret("API key "+k.ID, &k.Key)
		s.checkGrants("API key "+k.ID, k.Grants, fault)
	}
	for i := range s.Webhooks {
		w := &s.Webhooks[i]
		unique("webhook", w.Name)
		secret("webhook "+w.Name, &w.Secret)
		w.check(fault)
	}
	for i, c := range s.RegistrationContexts {
		unique("registration context", c.Slug)
		s.checkGrants("registration context "+c.Slug, s.RegistrationContexts[i].Grants, fault)
	}
	for i, u := range s.Users {
		unique("user", strings.ToLower(u.Email))
		s.checkGrants("a user's grants", s.Users[i].Grants, fault)
	}
	return errors.Join(faults...)
}

func (c Client) check(fault func(string, ...any)) {
	if len(c.RedirectURIs) == 0 || len(c.Audiences) == 0 {
		fault("client %q needs redirect_uris and audiences", c.ID)
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" {
			fault("client %q: redirect URI %q is not absolute", c.ID, uri)
		}
	}
}

// check fills what a webhook leaves open.
func (w *Webhook) check(fault func(string, ...any)) {
	if w.Format == "" {
		w.Format = "json"
	}
	if w.Format != "json" && w.Format != "form" {
		fault("webhook %q: format %q is neither json nor form", w.Name, w.Format)
	}
	if u, err := url.Parse(w.URL); err != nil || u.Host == "" {
		fault("webhook %q: %q is not a URL", w.Name, w.URL)
	}
}

// checkGrants fills what a grant leaves open.
func (s *Settings) checkGrants(where string, grants []Grant, fault func(string, ...any)) {
	for i := range grants {
		g := &grants[i]
		if g.EntityType == "" || g.Relation == "" {
			fault("%s: a grant needs entity_type and relation", where)
		}
		if g.EntityID == "" {
			g.EntityID = "*"
		}
		if g.Tenant == "" {
			g.Tenant = s.DefaultTenant
		}
	}
}

func (s *Secret) read() error {
	if s.File != "" {
		if s.Value != "" {
			return errors.New("a secret has a value or a file, not both")
		}
		content, err := os.ReadFile(s.File)
		if err != nil {
			return fmt.Errorf("read a secret: %w", err)
		}
		*s = Secret{Value: strings.TrimSpace(string(content))}
	}
	if s.Value == "" {
		return errors.New("the secret is empty")
	}
	return nil
}
