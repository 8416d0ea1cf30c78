package console

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/console/internal/seal"
)

// Config of the console.
type Config struct {
	config.Common
	config.Backends

	PublicURL        string   `env:"CONSOLE_PUBLIC_URL" doc:"address of the console as browsers see it, without a path; CONSOLE_PUBLIC_URL/auth/callback is its redirect URI"`
	Issuer           string   `env:"CONSOLE_ISSUER" doc:"exact iss of the identity provider's id_tokens; one of the issuers in AUTHN_CONFIG_FILE"`
	DiscoveryURL     string   `env:"CONSOLE_DISCOVERY_URL" doc:"the identity provider's OpenID Connect discovery document, wherever it is"`
	ClientID         string   `env:"CONSOLE_CLIENT_ID" envDefault:"console" doc:"the console's client at the identity provider"`
	ClientSecretFile string   `env:"CONSOLE_CLIENT_SECRET_FILE" doc:"that client's secret; re-read at each use"`
	Scopes           []string `env:"CONSOLE_SCOPES" envDefault:"openid,offline_access" doc:"scopes that the console asks for; openid is required, offline_access gets a refresh token"`

	FrontDoor          bool     `env:"CONSOLE_FRONT_DOOR" doc:"exchange the id_token at token-exchange, where services do not accept the identity provider's access tokens"`
	FrontDoorAudiences []string `env:"CONSOLE_FRONT_DOOR_AUDIENCES" envDefault:"orders,billing,console" doc:"audiences of the exchanged token; console must be among them"`

	SessionKeyFile  string        `env:"CONSOLE_SESSION_KEY_FILE" doc:"keys that seal sessions and cookies: one a line, 32 bytes in base64; the first seals, all open"`
	SessionLifetime time.Duration `env:"CONSOLE_SESSION_LIFETIME" envDefault:"12h" doc:"a session ends after this time, however busy it is"`
	SessionIdle     time.Duration `env:"CONSOLE_SESSION_IDLE" envDefault:"2h" doc:"a session ends when it was not used for this time"`

	OrdersURL  string `env:"CONSOLE_ORDERS_URL" doc:"base URL of orders"`
	BillingURL string `env:"CONSOLE_BILLING_URL" doc:"base URL of billing"`

	SignUpURL        string         `env:"CONSOLE_SIGN_UP_URL" doc:"the identity provider's POST sign-up/email; empty offers no sign-up"`
	SignUpSecretFile string         `env:"CONSOLE_SIGN_UP_SECRET_FILE" doc:"the secret that the identity provider wants with a sign-up; re-read at each use"`
	SignUpContext    string         `env:"CONSOLE_SIGN_UP_CONTEXT" envDefault:"shop" doc:"slug of the registration context, which gives a new account its grants"`
	SignUpBurst      int            `env:"CONSOLE_SIGN_UP_BURST" envDefault:"10" doc:"sign-ups that one address may try at once"`
	SignUpEvery      time.Duration  `env:"CONSOLE_SIGN_UP_EVERY" envDefault:"10s" doc:"one more sign-up is allowed after this time"`
	TrustedProxies   []netip.Prefix `env:"CONSOLE_TRUSTED_PROXIES" doc:"networks of proxies whose X-Forwarded-For is believed: 10.0.0.0/8,…"`

	Places map[string]string `env:"CONSOLE_PLACES" envKeyValSeparator:"=" doc:"other parts of the system that the page points to: orders=http://127.0.0.1:8401,…; URLs may not hold a comma"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	for _, v := range []struct{ name, value string }{
		{"CONSOLE_PUBLIC_URL", c.PublicURL}, {"CONSOLE_DISCOVERY_URL", c.DiscoveryURL},
		{"CONSOLE_ORDERS_URL", c.OrdersURL}, {"CONSOLE_BILLING_URL", c.BillingURL},
	} {
		faults = append(faults, config.Required(v.name, v.value), c.httpURL(v.name, v.value))
	}
	faults = append(faults,
		config.Required("CONSOLE_ISSUER", c.Issuer), config.Required("CONSOLE_CLIENT_ID", c.ClientID),
		config.Required("CONSOLE_CLIENT_SECRET_FILE", c.ClientSecretFile), config.Readable("CONSOLE_CLIENT_SECRET_FILE", c.ClientSecretFile),
		config.Required("CONSOLE_SESSION_KEY_FILE", c.SessionKeyFile),
		config.Positive("CONSOLE_SESSION_LIFETIME", c.SessionLifetime), config.Positive("CONSOLE_SESSION_IDLE", c.SessionIdle),
		c.httpURL("CONSOLE_SIGN_UP_URL", c.SignUpURL), config.Positive("CONSOLE_SIGN_UP_EVERY", c.SignUpEvery))
	if u, err := url.Parse(c.PublicURL); err == nil && (u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		faults = append(faults, fmt.Errorf("CONSOLE_PUBLIC_URL (%q) must be scheme, host and port alone", c.PublicURL))
	}
	if c.SessionKeyFile != "" {
		if _, err := seal.Load(c.SessionKeyFile); err != nil {
			faults = append(faults, fmt.Errorf("CONSOLE_SESSION_KEY_FILE: %w", err))
		}
	}
	if !slices.Contains(c.Scopes, "openid") {
		faults = append(faults, errors.New("CONSOLE_SCOPES must contain openid"))
	}
	return append(append(faults, c.signUpFaults()...), c.frontDoorFaults()...)
}

func (c Config) signUpFaults() []error {
	if c.SignUpURL == "" {
		return nil
	}
	faults := []error{
		config.Required("CONSOLE_SIGN_UP_SECRET_FILE", c.SignUpSecretFile),
		config.Readable("CONSOLE_SIGN_UP_SECRET_FILE", c.SignUpSecretFile),
	}
	if c.SignUpBurst < 1 {
		faults = append(faults, fmt.Errorf("CONSOLE_SIGN_UP_BURST (%d) must be positive", c.SignUpBurst))
	}
	return faults
}

func (c Config) frontDoorFaults() []error {
	if !c.FrontDoor {
		return nil
	}
	faults := []error{config.Required("TOKEN_EXCHANGE_URL", c.TokenExchangeURL), config.Required("API_KEY_FILE", c.APIKeyFile)}
	if !slices.Contains(c.FrontDoorAudiences, Name) {
		faults = append(faults, errors.New("CONSOLE_FRONT_DOOR_AUDIENCES must contain console"))
	}
	return faults
}

// httpURL refuses http outside of development, where tokens and passwords would
// travel in the clear.
func (c Config) httpURL(name, value string) error {
	if err := config.HTTPURL(name, value); err != nil || value == "" {
		return err
	}
	if u, err := url.Parse(value); err == nil && u.Scheme != "https" && !c.IsDevelopment() {
		return fmt.Errorf("%s must be https unless ENVIRONMENT is development", name)
	}
	return nil
}

// secure reports whether browsers reach the console over TLS.
func (c Config) secure() bool {
	u, err := url.Parse(c.PublicURL)
	return err == nil && u.Scheme == "https"
}
