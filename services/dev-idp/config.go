// Package devidp is the development-only identity provider: it speaks the wire
// contract of the identity provider that the services are written against, as
// its documentation promises it or as its server was observed to behave.
package devidp

import (
	"errors"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/schema"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"

	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// Prefix of the service's own environment variables.
const Prefix = "DEV_IDP_"

// The values of Config.As.
const (
	Promised = string(mode.Promised)
	Observed = string(mode.Observed)
)

// The settings file and its parts.
type (
	// Settings is the whole file.
	Settings = settings.Settings
	// Secret is a literal value or the file that holds one.
	Secret = settings.Secret
	// Client is an OAuth client.
	Client = settings.Client
	// RegistrationContext gives new accounts grants.
	RegistrationContext = settings.RegistrationContext
	// Grant is a relation on an entity.
	Grant = settings.Grant
	// APIKey is a key that is known from the start.
	APIKey = settings.APIKey
	// Webhook is an endpoint that is told of facts.
	Webhook = settings.Webhook
	// EntityType is one row of the permission model.
	EntityType = settings.EntityType
	// SeedUser is created at start.
	SeedUser = settings.SeedUser
)

// DefaultSettings is what the service knows without a file: the demo's clients,
// registration context, permission model and users.
func DefaultSettings() Settings { return settings.Default() }

// Migrations of the service's database.
func Migrations() migrate.Set {
	return migrate.Set{Name: schema.Name, FS: schema.Migrations, Dir: schema.Dir}
}

// Config is read from the environment.
type Config struct {
	config.Common

	InsecureDevelopmentIDP   bool            `env:"DEV_IDP_INSECURE_DEVELOPMENT_IDP" doc:"must be true, and ENVIRONMENT development: this service protects nothing"`
	As                       string          `env:"DEV_IDP_AS" envDefault:"promised" doc:"promised (what the IdP documents) or observed (what its server does)"`
	BaseURL                  string          `env:"DEV_IDP_BASE_URL" envDefault:"http://127.0.0.1:8405" doc:"public base URL and issuer"`
	SettingsFile             string          `env:"DEV_IDP_SETTINGS_FILE" doc:"YAML with clients, registration contexts, API keys, webhooks, model and users; empty uses the demo's"`
	Seed                     bool            `env:"DEV_IDP_SEED" doc:"create the users of the settings that do not exist yet"`
	RequireVerification      bool            `env:"DEV_IDP_REQUIRE_VERIFICATION" doc:"new accounts wait for an administrator to verify them; otherwise they are verified at once (no mail is ever sent)"`
	SignInAttempts           int             `env:"DEV_IDP_SIGN_IN_ATTEMPTS" doc:"sign-ins per 10 s and address; -1 is no limit, 0 what the mode has (promised none, observed 3)"`
	KeyRotation              time.Duration   `env:"DEV_IDP_KEY_ROTATION" envDefault:"720h" doc:"age at which rotate-jwks replaces the signing key"`
	KeyRetention             time.Duration   `env:"DEV_IDP_KEY_RETENTION" envDefault:"1440h" doc:"how long an old signing key stays published"`
	WebhookRetries           []time.Duration `env:"DEV_IDP_WEBHOOK_RETRIES" envDefault:"12s,150s,30m" doc:"waits before a webhook is tried again, separated by commas"`
	DatabaseURLFile          string          `env:"DATABASE_URL_FILE" doc:"file with the Postgres URL of the runtime role"`
	MigrationDatabaseURLFile string          `env:"MIGRATION_DATABASE_URL_FILE" doc:"file with the Postgres URL of the migrator role; where it is set the service migrates at start"`
}

// Errors that keep the service from starting where it must not run.
var (
	ErrNotDevelopment = errors.New("the development identity provider runs only with ENVIRONMENT=development")
	ErrNotConfirmed   = errors.New("the development identity provider protects nothing; it starts only with DEV_IDP_INSECURE_DEVELOPMENT_IDP=true")
)

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.refusals()...)
	faults = append(faults,
		config.HTTPURL("DEV_IDP_BASE_URL", c.BaseURL), config.Required("DEV_IDP_BASE_URL", c.BaseURL),
		config.Readable("DEV_IDP_SETTINGS_FILE", c.SettingsFile),
		config.Positive("DEV_IDP_KEY_ROTATION", c.KeyRotation), config.Positive("DEV_IDP_KEY_RETENTION", c.KeyRetention),
		config.Required("DATABASE_URL_FILE", c.DatabaseURLFile), config.Readable("DATABASE_URL_FILE", c.DatabaseURLFile),
		config.Readable("MIGRATION_DATABASE_URL_FILE", c.MigrationDatabaseURLFile),
	)
	if _, err := mode.Parse(c.As); err != nil {
		faults = append(faults, fmt.Errorf("DEV_IDP_AS: %w", err))
	}
	if c.SignInAttempts < -1 {
		faults = append(faults, fmt.Errorf("DEV_IDP_SIGN_IN_ATTEMPTS (%d) must be -1 or more", c.SignInAttempts))
	}
	for _, wait := range c.WebhookRetries {
		faults = append(faults, config.Positive("DEV_IDP_WEBHOOK_RETRIES", wait))
	}
	if c.SettingsFile != "" {
		if _, err := settings.Load(c.SettingsFile); err != nil {
			faults = append(faults, fmt.Errorf("DEV_IDP_SETTINGS_FILE: %w", err))
		}
	}
	return faults
}

// refusals are checked by Run, too: a program that starts services does not
// come through the environment.
func (c Config) refusals() []error {
	var faults []error
	if !c.IsDevelopment() {
		faults = append(faults, ErrNotDevelopment)
	}
	if !c.InsecureDevelopmentIDP {
		faults = append(faults, ErrNotConfirmed)
	}
	return faults
}

// withDefaults fills what a program that builds a Config by hand leaves open.
func (c Config) withDefaults() Config {
	if c.KeyRotation == 0 {
		c.KeyRotation = keys.DefaultRotation
	}
	if c.KeyRetention == 0 {
		c.KeyRetention = keys.DefaultRetention
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://127.0.0.1:8405"
	}
	return c
}
