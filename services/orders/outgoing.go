package orders

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/directory"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	billing "github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/orders/invoicing"
)

// outgoing is whom orders calls, and with which tokens.
type outgoing struct {
	invoicer  *invoicing.Invoicer
	delegator *authn.Delegator
	own       *authn.TokenSource
}

func connect(m *mesh.Mesh, cfg Config) (*outgoing, error) {
	client, err := billing.NewClient(cfg.BillingURL, m.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("ORDERS_BILLING_URL: %w", err)
	}
	tokenURL := strings.TrimSuffix(cfg.TokenExchangeURL, "/") + "/oauth/token"
	delegator, err := authn.NewDelegator(authn.DelegatorConfig{
		TokenURL: tokenURL, ClientID: Name, APIKeyFile: cfg.APIKeyFile,
		HTTPClient: m.HTTPClient, Logger: m.Logger, Revocations: m.Revocations,
	})
	if err != nil {
		return nil, fmt.Errorf("delegate: %w", err)
	}
	own, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: tokenURL, ClientID: Name, APIKeyFile: cfg.APIKeyFile, Audience: billing.Audience,
		Scopes: []string{billing.ScopeCreateInvoices}, HTTPClient: m.HTTPClient, Logger: m.Logger,
	})
	if err != nil {
		delegator.Close()
		return nil, fmt.Errorf("get service tokens: %w", err)
	}
	return &outgoing{invoicer: invoicing.New(client, delegator, own), delegator: delegator, own: own}, nil
}

func (o *outgoing) close() {
	o.delegator.Close()
	o.own.Close()
}

// openDirectory returns who knows names, or nil where nobody is configured. What
// it keeps in memory follows the identity events.
func openDirectory(m *mesh.Mesh, cfg Config, erasures *participant.Participant) (directory.Directory, error) {
	if cfg.DirectoryURL == "" {
		return nil, nil //nolint:nilnil // no directory is a configuration, and no error
	}
	keyed := *m.HTTPClient
	keyed.Transport = apiKey{file: cfg.DirectoryAPIKeyFile, next: m.HTTPClient.Transport}
	names, err := directory.NewClient(directory.ClientConfig{
		URL: cfg.DirectoryURL, HTTPClient: &keyed, Erased: erasures.Erased,
		EmailPermitted: func(ctx context.Context) bool { return access.Discloses(ctx, access.Email) },
	})
	if err != nil {
		return nil, fmt.Errorf("ORDERS_DIRECTORY_URL: %w", err)
	}
	m.Go("names' changes", func(ctx context.Context) error { return names.Follow(ctx, m.Conn, m.Logger) })
	return names, nil
}

// apiKey sends the key with each request, read anew so that a rotated one counts
// at once.
type apiKey struct {
	file string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (k apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := config.ReadSecretFile(k.file)
	if err != nil {
		return nil, fmt.Errorf("ORDERS_DIRECTORY_API_KEY_FILE: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("X-Api-Key", key)
	return k.next.RoundTrip(r)
}
