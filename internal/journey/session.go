package journey

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
)

// What other walks than the golden one need: a person's session at the IdP, the
// application's client, and the operator's.

// Post sends JSON to a path of the IdP with the person's session.
func (p *Person) Post(ctx context.Context, path string, body any) error {
	return p.browser.post(ctx, p.browser.idp+path, body)
}

// Refresh trades the refresh token for a new access token.
func (p *Person) Refresh(ctx context.Context, system *devstack.Running) error {
	app, err := Application(system)
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.browser.client)
	token, err := app.TokenSource(ctx, &oauth2.Token{RefreshToken: p.refresh}).Token()
	if err != nil {
		return err
	}
	p.Token, p.refresh = token.AccessToken, token.RefreshToken
	return nil
}

// Application is the demo's client at the IdP.
func Application(system *devstack.Running) (*oauth2.Config, error) {
	secret, err := config.ReadSecretFile(system.SecretFile("idp-client-demo"))
	if err != nil {
		return nil, err
	}
	return application(system.Ports.URL(devstack.DevIDP), secret), nil
}

// Operator calls a service as the system's operator.
func Operator(system *devstack.Running, audience string, scopes ...string) (*http.Client, error) {
	return operator(system, audience, scopes...)
}

// Refused is the HTTP status of a refusal, 0 for anything else.
func Refused(err error) int { return refused(err) }

// Unreachable tells that nobody answered at all.
func Unreachable(err error) bool { return unreachable(err) }

// Claims are the JSON of a JWT that nobody has verified.
func Claims(token string) string { return claims(token) }
