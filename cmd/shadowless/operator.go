package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
)

// operatorFlags say where the services are and who asks. Without them the
// system that runs on this machine is meant.
type operatorFlags struct {
	stateFlag
	TokenExchangeURL string `help:"Base URL of token-exchange." env:"SHADOWLESS_TOKEN_EXCHANGE_URL"`
	IdentityRelayURL string `help:"Base URL of identity-relay." env:"SHADOWLESS_IDENTITY_RELAY_URL"`
	APIKeyFile       string `help:"The operator's API key." env:"SHADOWLESS_API_KEY_FILE" type:"path"`
	CAFile           string `help:"PEM certificates to trust." env:"CA_FILE" type:"path"`
}

// complete fills what is missing from the running system.
func (f *operatorFlags) complete(ctx context.Context) error {
	if f.TokenExchangeURL != "" && f.APIKeyFile != "" && f.IdentityRelayURL != "" {
		return nil
	}
	running, err := f.running(ctx)
	if err != nil {
		return errors.Join(err, errors.New("or name another system with --token-exchange-url, --identity-relay-url and --api-key-file"))
	}
	if f.TokenExchangeURL == "" {
		f.TokenExchangeURL = running.Ports.URL(devstack.TokenExchange)
	}
	if f.IdentityRelayURL == "" {
		f.IdentityRelayURL = running.Ports.URL(devstack.IdentityRelay)
	}
	if f.APIKeyFile == "" {
		f.APIKeyFile = running.SecretFile(streams.Operator + ".key")
	}
	return nil
}

// client calls a service as the operator, with a token for its audience.
func (f *operatorFlags) client(ctx context.Context, audience string, scopes ...string) (*http.Client, error) {
	if err := f.complete(ctx); err != nil {
		return nil, err
	}
	plain, err := httpclient.New(f.CAFile)
	if err != nil {
		return nil, err
	}
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: f.TokenExchangeURL + "/oauth/token", ClientID: streams.Operator, APIKeyFile: f.APIKeyFile,
		Audience: audience, Scopes: scopes, HTTPClient: plain,
	})
	if err != nil {
		return nil, fmt.Errorf("become the operator: %w", err)
	}
	authorized := *plain
	authorized.Transport = source.Transport(plain.Transport)
	return &authorized, nil
}
