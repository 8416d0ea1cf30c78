package tokenexchange

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
)

// Config of token-exchange.
type Config struct {
	config.Common
	config.Backends

	Issuer               string        `env:"TOKEN_EXCHANGE_ISSUER" doc:"this issuer's URL, the iss of its tokens; as in AUTHN_CONFIG_FILE"`
	PolicyFile           string        `env:"TOKEN_EXCHANGE_POLICY_FILE" doc:"audiences with their entity types, and what users may do whose tokens do not say (YAML)"`
	ClientsFile          string        `env:"TOKEN_EXCHANGE_CLIENTS_FILE" doc:"clients that are declared at every start (YAML)"`
	KeyHashKeyFile       string        `env:"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE" doc:"keys of the hashes of API keys and blocked users, one id:base64 a line; the first makes new hashes"`
	KeyEncryptionKeyFile string        `env:"TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE" doc:"keys that encrypt signing keys at rest, one id:base64 a line; the first encrypts new ones"`
	KeyLabel             string        `env:"TOKEN_EXCHANGE_KEY_LABEL" envDefault:"live" doc:"environment label inside new API keys"`
	SigningAlgorithm     string        `env:"TOKEN_EXCHANGE_SIGNING_ALGORITHM" envDefault:"ES256" doc:"of new signing keys: ES256, EdDSA or RS256"`
	SigningRotateEvery   time.Duration `env:"TOKEN_EXCHANGE_SIGNING_ROTATE_EVERY" envDefault:"720h" doc:"how long a signing key signs"`
	SigningRetainFor     time.Duration `env:"TOKEN_EXCHANGE_SIGNING_RETAIN_FOR" envDefault:"1440h" doc:"how long a signing key stays published after its successor took over"`
	SigningPublishAhead  time.Duration `env:"TOKEN_EXCHANGE_SIGNING_PUBLISH_AHEAD" envDefault:"24h" doc:"how long a signing key is published before it signs"`
	SigningEmergencyLead time.Duration `env:"TOKEN_EXCHANGE_SIGNING_EMERGENCY_LEAD" envDefault:"15s" doc:"how long after the command an emergency rotation takes effect, and for how long a replica signs without reading the keys; the same on every replica"`
	UserinfoURL          string        `env:"TOKEN_EXCHANGE_USERINFO_URL" doc:"the identity provider's userinfo endpoint; without it opaque tokens are refused at the front door"`
	MaxStaleness         time.Duration `env:"TOKEN_EXCHANGE_MAX_STALENESS" envDefault:"15s" doc:"subject tokens are refused (503) when revocations are known longer ago than this"`
	Mode                 string        `env:"TOKEN_EXCHANGE_MODE" envDefault:"issuer" doc:"issuer: this service mints tokens; broker: it exchanges its clients' keys at TOKEN_EXCHANGE_UPSTREAM_URL"`
	UpstreamURL          string        `env:"TOKEN_EXCHANGE_UPSTREAM_URL" doc:"base URL of the Auther of broker mode, an issuer of AUTHN_CONFIG_FILE"`
	TrustedProxies       []string      `env:"TOKEN_EXCHANGE_TRUSTED_PROXIES" doc:"networks (CIDR, separated by commas) whose X-Forwarded-For is believed; empty: nobody's"`
	Audit                string        `env:"TOKEN_EXCHANGE_AUDIT" envDefault:"batched" doc:"batched: a record is written within 100 ms; strict: before the token is handed out"`
	AuditRetention       time.Duration `env:"TOKEN_EXCHANGE_AUDIT_RETENTION" envDefault:"8760h" doc:"how long audit records are kept; 0: for ever"`
}

// Modes.
const (
	ModeIssuer = "issuer"
	ModeBroker = "broker"
)

// Ways to write the audit.
const (
	AuditBatched = "batched"
	AuditStrict  = "strict"
)

// Faults lists everything that is wrong, in the files too.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	faults = append(faults,
		config.Required("TOKEN_EXCHANGE_ISSUER", c.Issuer), issuerFault(c.Issuer),
		config.Required("TOKEN_EXCHANGE_POLICY_FILE", c.PolicyFile),
		config.Required("TOKEN_EXCHANGE_KEY_HASH_KEY_FILE", c.KeyHashKeyFile),
		config.Required("TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE", c.KeyEncryptionKeyFile),
		config.HTTPURL("TOKEN_EXCHANGE_USERINFO_URL", c.UserinfoURL),
		config.Positive("TOKEN_EXCHANGE_MAX_STALENESS", c.MaxStaleness),
		readable("TOKEN_EXCHANGE_POLICY_FILE", c.PolicyFile, func(p string) error { _, err := policy.Load(p); return err }),
		readable("TOKEN_EXCHANGE_CLIENTS_FILE", c.ClientsFile, func(p string) error { _, err := clients.LoadFile(p); return err }),
		c.clientsFault(),
		readable("TOKEN_EXCHANGE_KEY_HASH_KEY_FILE", c.KeyHashKeyFile, func(p string) error { _, err := keyring.Load(p); return err }),
		readable("TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE", c.KeyEncryptionKeyFile, func(p string) error { _, err := keyring.Load(p); return err }),
	)
	if _, err := origin.ParseProxies(c.TrustedProxies); err != nil {
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_TRUSTED_PROXIES: %w", err))
	}
	faults = append(faults, c.modeFaults()...)
	if c.Audit != AuditBatched && c.Audit != AuditStrict {
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_AUDIT (%q) must be %s or %s", c.Audit, AuditBatched, AuditStrict))
	}
	if c.AuditRetention < 0 {
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_AUDIT_RETENTION (%s) must not be negative", c.AuditRetention))
	}
	if _, err := api.GenerateKey(c.KeyLabel); err != nil {
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_KEY_LABEL: %w", err))
	}
	for _, fault := range c.schedule().Faults(exchange.MaxLife) {
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_SIGNING_…: %w", fault))
	}
	return faults
}

func (c Config) modeFaults() []error {
	faults := []error{config.HTTPURL("TOKEN_EXCHANGE_UPSTREAM_URL", c.UpstreamURL)}
	switch {
	case c.Mode != ModeIssuer && c.Mode != ModeBroker:
		faults = append(faults, fmt.Errorf("TOKEN_EXCHANGE_MODE (%q) must be %s or %s", c.Mode, ModeIssuer, ModeBroker))
	case (c.Mode == ModeBroker) != (c.UpstreamURL != ""):
		faults = append(faults, errors.New("TOKEN_EXCHANGE_MODE=broker and TOKEN_EXCHANGE_UPSTREAM_URL go together"))
	case c.Mode == ModeBroker && c.Environment != config.Development && !strings.HasPrefix(c.UpstreamURL, "https://"):
		faults = append(faults, errors.New("TOKEN_EXCHANGE_UPSTREAM_URL must be https: keys go there"))
	}
	return faults
}

// clientsFault holds the clients file to the policy, where both can be read.
func (c Config) clientsFault() error {
	rules, err := policy.Load(c.PolicyFile)
	if err != nil || c.ClientsFile == "" {
		return nil //nolint:nilerr // reported as the policy's own fault
	}
	file, err := clients.LoadFile(c.ClientsFile)
	if err != nil {
		return nil //nolint:nilerr // reported as the file's own fault
	}
	if err := file.Check(rules); err != nil {
		return fmt.Errorf("TOKEN_EXCHANGE_CLIENTS_FILE: %w", err)
	}
	return nil
}

func (c Config) schedule() signing.Schedule {
	return signing.Schedule{
		Algorithm: c.SigningAlgorithm, RotateEvery: c.SigningRotateEvery,
		RetainFor: c.SigningRetainFor, PublishAhead: c.SigningPublishAhead,
		EmergencyLead: c.SigningEmergencyLead,
	}
}

// issuerFault holds the issuer to RFC 8414, section 2: no query, no fragment.
func issuerFault(issuer string) error {
	if issuer == "" {
		return nil
	}
	if err := config.HTTPURL("TOKEN_EXCHANGE_ISSUER", issuer); err != nil {
		return err
	}
	if u, err := url.Parse(issuer); err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("TOKEN_EXCHANGE_ISSUER must have no query, fragment or user")
	}
	return nil
}

func readable(name, path string, read func(string) error) error {
	if path == "" {
		return nil
	}
	if err := read(path); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
