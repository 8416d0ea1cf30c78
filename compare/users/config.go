package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Config is what a service with a table of users reads besides its own.
type Config struct {
	WebhookSecretsFile string        `env:"SHADOW_WEBHOOK_SECRETS_FILE" doc:"secrets of the identity provider's webhooks, one a line; without it no delivery is accepted"`
	WebhookMaxAge      time.Duration `env:"SHADOW_WEBHOOK_MAX_AGE" envDefault:"45m" doc:"oldest delivery that is accepted; above the provider's last retry"`
	IDPURL             string        `env:"SHADOW_IDP_URL" doc:"the identity provider whose list of users is compared; without it none is"`
	IDPCredentialFile  string        `env:"SHADOW_IDP_CREDENTIAL_FILE" doc:"an administrator's email and password (JSON) at the identity provider"`
	ReconcileInterval  time.Duration `env:"SHADOW_RECONCILE_INTERVAL" envDefault:"24h" doc:"how often the list is compared"`
	Cache              time.Duration `env:"SHADOW_USER_CACHE" envDefault:"5s" doc:"how long a replica trusts a user's row that it has read; 0 reads it at each request"`
	Tombstones         bool          `env:"SHADOW_TOMBSTONES" envDefault:"true" doc:"remember deleted users, so that a live token or a late webhook does not bring them back"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := []error{
		config.Readable("SHADOW_WEBHOOK_SECRETS_FILE", c.WebhookSecretsFile),
		config.Positive("SHADOW_WEBHOOK_MAX_AGE", c.WebhookMaxAge),
		config.HTTPURL("SHADOW_IDP_URL", c.IDPURL),
		config.Readable("SHADOW_IDP_CREDENTIAL_FILE", c.IDPCredentialFile),
		config.Positive("SHADOW_RECONCILE_INTERVAL", c.ReconcileInterval),
	}
	if c.IDPURL != "" && c.IDPCredentialFile == "" {
		faults = append(faults, errors.New("SHADOW_IDP_CREDENTIAL_FILE is required with SHADOW_IDP_URL"))
	}
	if c.Cache < 0 {
		faults = append(faults, fmt.Errorf("SHADOW_USER_CACHE (%s) must not be negative", c.Cache))
	}
	return faults
}

// Open makes the table of a service's database and keeps it in step with the
// provider in the background.
func Open(m *mesh.Mesh, c Config, tombstoneKeyFile string) (*Table, *Webhook, error) {
	o := Options{Cache: c.Cache}
	if c.Tombstones {
		var err error
		if o.Tombstones, err = participant.LoadTombstones(tombstoneKeyFile); err != nil {
			return nil, nil, fmt.Errorf("TOMBSTONE_KEY_FILE: %w", err)
		}
	}
	table := NewTable(m.Pool, o)
	hook := &Webhook{Table: table, SecretsFile: c.WebhookSecretsFile, MaxAge: c.WebhookMaxAge, Now: time.Now, Log: m.Logger}
	m.Go("old deliveries", hook.Prune)
	if c.IDPURL != "" {
		r := table.Reconciler(NewAutherList(c.IDPURL, c.IDPCredentialFile, m.HTTPClient))
		m.Go("reconciliation", func(ctx context.Context) error { return r.Run(ctx, c.ReconcileInterval, m.Logger) })
	}
	return table, hook, nil
}

// Access makes a service's access table that of its shadow: without the routes
// through which erasures are driven and audited, with the provider's webhook.
// Nothing fails closed: there is no list of revocations that could be stale.
func Access(t access.Table) access.Table {
	shadow := access.Table{Service: t.Service}
	for _, r := range t.Routes {
		if !strings.Contains(r.Pattern, " /v1/identity/") {
			r.Posture = access.FailOpen
			shadow.Routes = append(shadow.Routes, r)
		}
	}
	shadow.Routes = append(shadow.Routes, access.Route{
		Pattern: Pattern, Allow: []access.Rule{access.Public()}, Posture: access.FailOpen,
		Doc: "the identity provider's webhooks; authenticated by their signature",
	})
	return shadow
}
