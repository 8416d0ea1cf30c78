package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"
)

// Environments.
const (
	Development = "development"
	Production  = "production"
)

// MaxSecretSize bounds a secret file, in bytes.
const MaxSecretSize = 64 << 10

// Common is what every service reads from its environment. Secrets are paths to
// files, never values.
type Common struct {
	Environment       string        `env:"ENVIRONMENT" envDefault:"production" doc:"development or production; Insecure… switches are refused in production"`
	ListenAddress     string        `env:"LISTEN_ADDRESS" envDefault:":8443" doc:"host:port to serve on"`
	InsecurePlainHTTP bool          `env:"INSECURE_PLAIN_HTTP" doc:"serve HTTP without TLS; for one machine in development"`
	TLSCertFile       string        `env:"TLS_CERT_FILE" doc:"PEM certificate chain; re-read when it changes"`
	TLSKeyFile        string        `env:"TLS_KEY_FILE" doc:"PEM private key; re-read when it changes"`
	CAFile            string        `env:"CA_FILE" doc:"PEM certificates trusted for outgoing calls, beside the system's"`
	ShutdownTimeout   time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"15s" doc:"how long requests and consumers may take to end"`
	LogLevel          slog.Level    `env:"LOG_LEVEL" envDefault:"INFO" doc:"DEBUG, INFO, WARN or ERROR"`

	// Ready, where set, is called once with the bound address; for programs
	// that start services on a free port.
	Ready func(addr string) `env:"-"`
}

// Faults lists what is wrong with the common part.
func (c Common) Faults() []error {
	var faults []error
	if c.Environment != Development && c.Environment != Production {
		faults = append(faults, fmt.Errorf("ENVIRONMENT (%q) must be development or production", c.Environment))
	}
	if c.ShutdownTimeout <= 0 {
		faults = append(faults, fmt.Errorf("SHUTDOWN_TIMEOUT (%s) must be positive", c.ShutdownTimeout))
	}
	switch {
	case c.InsecurePlainHTTP && c.Environment != Development:
		faults = append(faults, errors.New("INSECURE_PLAIN_HTTP is refused unless ENVIRONMENT is development"))
	case !c.InsecurePlainHTTP && (c.TLSCertFile == "" || c.TLSKeyFile == ""):
		faults = append(faults, errors.New("TLS_CERT_FILE and TLS_KEY_FILE are required (or INSECURE_PLAIN_HTTP=true in development)"))
	}
	return append(faults, Readable("TLS_CERT_FILE", c.TLSCertFile), Readable("TLS_KEY_FILE", c.TLSKeyFile), Readable("CA_FILE", c.CAFile))
}

// IsDevelopment reports whether Insecure… switches may be used.
func (c Common) IsDevelopment() bool { return c.Environment == Development }

// Backends is what a service with a database and a place in the mesh reads.
type Backends struct {
	AuthnConfigFile          string `env:"AUTHN_CONFIG_FILE" doc:"the issuers that are trusted (YAML); the same file for every service"`
	KeySetDir                string `env:"KEY_SET_DIR" doc:"folder for the last good key sets, so that a restart survives an IdP that is down"`
	KeySetBucket             bool   `env:"KEY_SET_BUCKET" doc:"keep the last good key sets in NATS instead, where pods lose their disks"`
	NATSURL                  string `env:"NATS_URL" doc:"nats:// or tls:// URL, several separated by commas"`
	NATSNKeySeedFile         string `env:"NATS_NKEY_SEED_FILE" doc:"this service's NKey seed"`
	DatabaseURLFile          string `env:"DATABASE_URL_FILE" doc:"file with the Postgres URL of the runtime role"`
	MigrationDatabaseURLFile string `env:"MIGRATION_DATABASE_URL_FILE" doc:"file with the Postgres URL of the migrator role; where it is set the service migrates at start"`
	TokenExchangeURL         string `env:"TOKEN_EXCHANGE_URL" doc:"base URL of token-exchange"`
	APIKeyFile               string `env:"API_KEY_FILE" doc:"this service's API key at token-exchange; re-read when it changes"`
	TombstoneKeyFile         string `env:"TOMBSTONE_KEY_FILE" doc:"key of the keyed hashes that remember erased users"`
}

// Faults lists what is missing from the backends that every service needs.
// A service that also calls others adds APIKeyFile and TokenExchangeURL.
func (b Backends) Faults() []error {
	return []error{
		Required("AUTHN_CONFIG_FILE", b.AuthnConfigFile), Readable("AUTHN_CONFIG_FILE", b.AuthnConfigFile),
		Required("NATS_URL", b.NATSURL),
		Readable("NATS_NKEY_SEED_FILE", b.NATSNKeySeedFile),
		Required("DATABASE_URL_FILE", b.DatabaseURLFile), Readable("DATABASE_URL_FILE", b.DatabaseURLFile),
		Readable("MIGRATION_DATABASE_URL_FILE", b.MigrationDatabaseURLFile),
		Required("TOMBSTONE_KEY_FILE", b.TombstoneKeyFile), Readable("TOMBSTONE_KEY_FILE", b.TombstoneKeyFile),
		HTTPURL("TOKEN_EXCHANGE_URL", b.TokenExchangeURL), b.keySetFault(),
		Readable("API_KEY_FILE", b.APIKeyFile),
	}
}

func (b Backends) keySetFault() error {
	if b.KeySetDir != "" && b.KeySetBucket {
		return errors.New("KEY_SET_DIR and KEY_SET_BUCKET exclude each other")
	}
	return nil
}

// Required is a fault when the variable is empty.
func Required(name, value string) error {
	if value == "" {
		return errors.New(name + " is required")
	}
	return nil
}

// Readable is a fault when the named file cannot be opened. Empty is none.
func Readable(name, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.Close()
}

// HTTPURL is a fault when value is neither empty nor an absolute http(s) URL.
func HTTPURL(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s (%q) must be an http or https URL", name, value)
	}
	return nil
}

// Positive is a fault when the duration is not.
func Positive(name string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s (%s) must be positive", name, d)
	}
	return nil
}

// ReadSecretFile returns a secret without the line break that editors add.
func ReadSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	raw, err := io.ReadAll(io.LimitReader(f, MaxSecretSize+1))
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	if len(raw) > MaxSecretSize {
		return "", fmt.Errorf("secret file %s is larger than %d bytes", path, MaxSecretSize)
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return secret, nil
}

// LoggedAt is the least level that is logged.
func (c Common) LoggedAt() slog.Level { return c.LogLevel }
