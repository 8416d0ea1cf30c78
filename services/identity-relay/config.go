// Package identityrelay is the service that learns of users' lives from the
// identity provider and tells the others: webhooks in, identity events and
// revocations out. It opens erasures and sees them through.
package identityrelay

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim"
)

const name = "identity-relay"

// Prefix of the service's own variables.
const Prefix = "IDENTITY_RELAY_"

// Config is read from the environment.
type Config struct {
	config.Common
	config.Backends

	WebhookSecretsFile string        `env:"IDENTITY_RELAY_WEBHOOK_SECRETS_FILE" doc:"signing secrets of Auther's webhooks, one a line, all of them accepted; re-read when it changes. Required with the user list auther; without it no webhook is accepted"`
	WebhookMaxAge      time.Duration `env:"IDENTITY_RELAY_WEBHOOK_MAX_AGE" envDefault:"72h" doc:"how old a delivery's first timestamp, or a security event's iat, may be; must lie above the identity provider's retry horizon"`
	TransmittersFile   string        `env:"IDENTITY_RELAY_TRANSMITTERS_FILE" doc:"YAML: who may push Security Event Tokens; see the README of identity-relay. Without it none is accepted"`
	DeliveryRetention  time.Duration `env:"IDENTITY_RELAY_DELIVERY_RETENTION" envDefault:"168h" doc:"how long the IDs of deliveries are remembered; must exceed the maximum age"`
	EventRetention     time.Duration `env:"IDENTITY_RELAY_EVENT_RETENTION" envDefault:"720h" doc:"how long events are kept to be published again; at least as long as the stream keeps them"`

	UserList string `env:"IDENTITY_RELAY_USER_LIST" envDefault:"auther" doc:"how the identity provider's users are read: auther (its administration) or scim (SCIM 2.0)"`
	UsersOf  string `env:"IDENTITY_RELAY_USERS_OF" doc:"the issuer of AUTHN_CONFIG_FILE whose users the list names; required when more than one issues users"`

	SCIMURL        string `env:"IDENTITY_RELAY_SCIM_URL" doc:"base URL of the SCIM service; /Users follows it"`
	SCIMBearerFile string `env:"IDENTITY_RELAY_SCIM_BEARER_FILE" doc:"access token for the SCIM service; re-read for each request"`
	SCIMUserID     string `env:"IDENTITY_RELAY_SCIM_USER_ID" envDefault:"id" doc:"the attribute that holds what tokens carry as sub: id, externalId or userName"`

	IdPURL               string  `env:"IDENTITY_RELAY_IDP_URL" doc:"base URL of the identity provider"`
	IdPCredentialFile    string  `env:"IDENTITY_RELAY_IDP_CREDENTIAL_FILE" doc:"JSON {\"email\",\"password\"} of an administrator at the identity provider; re-read at each sign-in"`
	IdPRequestsPerSecond float64 `env:"IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND" envDefault:"20" doc:"limit of requests to the identity provider's administration"`

	WithdrawalEndsTokens bool `env:"IDENTITY_RELAY_WITHDRAWAL_ENDS_TOKENS" envDefault:"true" doc:"whether a grant that is revoked or gets another condition, or a membership that ends, ends the user's tokens that were issued before: they still state it. Where the identity provider's tokens need a front door, the user signs in again"`

	Participants []string `env:"IDENTITY_RELAY_PARTICIPANTS" doc:"who must answer erasures, separated by commas: name=base URL, or name=base URL@2026-01-31 for one that must answer from a date on; the relay itself always does"`

	ErasureGrace    time.Duration `env:"IDENTITY_RELAY_ERASURE_GRACE" envDefault:"24h" doc:"how long data waits after a deletion, while access is already blocked; 0s is allowed"`
	ErasureDeadline time.Duration `env:"IDENTITY_RELAY_ERASURE_DEADLINE" envDefault:"1h" doc:"after which time without all receipts an erasure is late"`
	ErasuresPerHour int           `env:"IDENTITY_RELAY_ERASURES_PER_HOUR" envDefault:"100" doc:"how many erasures one source may open within an hour; further ones are held until somebody releases them"`

	ReconcileInterval       time.Duration `env:"IDENTITY_RELAY_RECONCILE_INTERVAL" envDefault:"1h" doc:"time between comparisons with the identity provider's users; 0s: on request only"`
	ReconcileGrace          time.Duration `env:"IDENTITY_RELAY_RECONCILE_GRACE" envDefault:"24h" doc:"time between the two look-ups of a user who is missing at the identity provider"`
	ReconcileShrinkFraction float64       `env:"IDENTITY_RELAY_RECONCILE_SHRINK_FRACTION" envDefault:"0.1" doc:"which part of the users may be missing before the identity provider's list is not believed"`
	ReconcileShrinkFloor    int           `env:"IDENTITY_RELAY_RECONCILE_SHRINK_FLOOR" envDefault:"10" doc:"a number of missing users that is never suspicious"`

	// Now is the clock that webhooks are judged by; nil is time.Now.
	Now func() time.Time `env:"-"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	faults = append(faults,
		config.Required("TOKEN_EXCHANGE_URL", c.TokenExchangeURL), config.Required("API_KEY_FILE", c.APIKeyFile),
		config.Readable("IDENTITY_RELAY_WEBHOOK_SECRETS_FILE", c.WebhookSecretsFile),
		config.Positive("IDENTITY_RELAY_WEBHOOK_MAX_AGE", c.WebhookMaxAge),
		config.Readable("IDENTITY_RELAY_TRANSMITTERS_FILE", c.TransmittersFile),
		config.Positive("IDENTITY_RELAY_ERASURE_DEADLINE", c.ErasureDeadline),
	)
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.DeliveryRetention <= c.WebhookMaxAge,
		"IDENTITY_RELAY_DELIVERY_RETENTION (%s) must exceed IDENTITY_RELAY_WEBHOOK_MAX_AGE (%s), or a late retry would count twice", c.DeliveryRetention, c.WebhookMaxAge)
	fault(c.EventRetention < streams.IdentityMaxAge,
		"IDENTITY_RELAY_EVENT_RETENTION (%s) must be at least %s, or messages of erased users could not be found", c.EventRetention, streams.IdentityMaxAge)
	fault(c.IdPRequestsPerSecond <= 0, "IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND must be positive")
	fault(c.ErasureGrace < 0, "IDENTITY_RELAY_ERASURE_GRACE (%s) must not be negative", c.ErasureGrace)
	fault(c.ErasuresPerHour < 1, "IDENTITY_RELAY_ERASURES_PER_HOUR must be positive")
	fault(c.ReconcileInterval < 0, "IDENTITY_RELAY_RECONCILE_INTERVAL (%s) must not be negative", c.ReconcileInterval)
	fault(c.ReconcileGrace <= 0, "IDENTITY_RELAY_RECONCILE_GRACE (%s) must be positive", c.ReconcileGrace)
	fault(c.ReconcileShrinkFraction < 0 || c.ReconcileShrinkFraction >= 1, "IDENTITY_RELAY_RECONCILE_SHRINK_FRACTION must be at least 0 and below 1")
	fault(c.ReconcileShrinkFloor < 0, "IDENTITY_RELAY_RECONCILE_SHRINK_FLOOR must not be negative")
	faults = append(faults, c.userListFaults()...)
	_, err := parseParticipants(c.Participants)
	return append(faults, err)
}

// userListFaults wants what the chosen list needs and nothing of the other.
func (c Config) userListFaults() []error {
	switch c.UserList {
	case userListAuther:
		return []error{
			config.Required("IDENTITY_RELAY_WEBHOOK_SECRETS_FILE", c.WebhookSecretsFile),
			config.Required("IDENTITY_RELAY_IDP_URL", c.IdPURL), config.HTTPURL("IDENTITY_RELAY_IDP_URL", c.IdPURL),
			config.Required("IDENTITY_RELAY_IDP_CREDENTIAL_FILE", c.IdPCredentialFile),
			config.Readable("IDENTITY_RELAY_IDP_CREDENTIAL_FILE", c.IdPCredentialFile),
		}
	case userListSCIM:
		faults := []error{
			config.Required("IDENTITY_RELAY_SCIM_URL", c.SCIMURL), config.HTTPURL("IDENTITY_RELAY_SCIM_URL", c.SCIMURL),
			config.Required("IDENTITY_RELAY_SCIM_BEARER_FILE", c.SCIMBearerFile),
			config.Readable("IDENTITY_RELAY_SCIM_BEARER_FILE", c.SCIMBearerFile),
		}
		if !slices.Contains(scim.Attributes, c.SCIMUserID) {
			faults = append(faults, fmt.Errorf("IDENTITY_RELAY_SCIM_USER_ID (%q) must be one of %s", c.SCIMUserID, strings.Join(scim.Attributes, ", ")))
		}
		return faults
	default:
		return []error{fmt.Errorf("IDENTITY_RELAY_USER_LIST (%q) must be auther or scim", c.UserList)}
	}
}

// remote is a participant with an address.
type remote struct {
	erasures.Participant
	BaseURL string
}

var participantName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func parseParticipants(entries []string) ([]remote, error) {
	var list []remote
	var faults []error
	seen := map[string]bool{name: true}
	for _, entry := range entries {
		p, err := parseParticipant(entry)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("IDENTITY_RELAY_PARTICIPANTS: %q: %w", entry, err))
		case seen[p.Name]:
			faults = append(faults, fmt.Errorf("IDENTITY_RELAY_PARTICIPANTS: %s is listed twice, or is the relay itself", p.Name))
		}
		seen[p.Name] = true
		list = append(list, p)
	}
	return list, errors.Join(faults...)
}

func parseParticipant(entry string) (p remote, err error) {
	participant, address, ok := strings.Cut(strings.TrimSpace(entry), "=")
	if !ok || !participantName.MatchString(participant) {
		return p, errors.New("must be name=base URL")
	}
	p.Name = participant
	if i := strings.LastIndex(address, "@"); i >= 0 {
		if p.Since, err = time.Parse(time.DateOnly, address[i+1:]); err != nil {
			return p, errors.New("what follows @ must be a date such as 2026-01-31")
		}
		address = address[:i]
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return p, errors.New("must have an http or https URL")
	}
	p.BaseURL = address
	return p, nil
}
