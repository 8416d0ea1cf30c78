package devstack

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	devidp "github.com/shadowless/shadowless/services/dev-idp"
)

// DemoClient is the OIDC client of `shadowless demo`, an application of its own.
const DemoClient = "demo"

// DemoRedirectURL is where the demo reads its codes; nothing listens there.
const DemoRedirectURL = "http://127.0.0.1:8499/callback"

// WebhookPath is where identity-relay takes the IdP's webhooks.
const WebhookPath = "/v1/webhooks/auther"

// idpSettings writes the development IdP's settings: its built-in ones with this
// system's addresses, secrets and webhook endpoint.
func (s *setting) idpSettings() string {
	settings := devidp.DefaultSettings()
	file := func(name string) devidp.Secret { return devidp.Secret{File: s.secret(name)} }
	settings.SignUpSecret = file("idp-sign-up")
	settings.RotationSecret = file("idp-rotation")
	for i := range settings.Clients {
		if settings.Clients[i].ID == Console {
			settings.Clients[i].Secret = file("idp-client-console")
			settings.Clients[i].RedirectURIs = []string{s.url(Console) + "/auth/callback"}
		}
	}
	settings.Clients = append(settings.Clients, devidp.Client{
		ID: DemoClient, Secret: file("idp-client-demo"), RedirectURIs: []string{DemoRedirectURL}, Audiences: []string{Orders, Billing},
	})
	for i := range settings.APIKeys {
		settings.APIKeys[i].Key = file("idp-api-key-" + settings.APIKeys[i].ID)
	}
	settings.Webhooks = []devidp.Webhook{{
		Name: IdentityRelay, URL: s.url(IdentityRelay) + WebhookPath, Secret: devidp.Secret{File: s.made("idp-webhook", webhookSecret)},
	}}
	settings.TrustedOrigins = []string{s.url(Console)}
	raw, err := yaml.Marshal(settings)
	if err != nil {
		s.fail(fmt.Errorf("write the IdP's settings: %w", err))
		return ""
	}
	path, err := s.state.Write(raw, "config", "dev-idp.yaml")
	if err != nil {
		s.fail(err)
	}
	return path
}

func webhookSecret() (string, error) {
	secret, err := RandomSecret()
	return "whsec_" + secret, err
}
