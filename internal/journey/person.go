package journey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
)

// Token types of RFC 8693 section 3.
const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken        = "urn:ietf:params:oauth:token-type:id_token"
	typeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
)

// Person is somebody in front of the demo application: a browser with a session
// at the IdP, and the token that the application got.
type Person struct {
	ID      string // the user ID: the token's sub
	Token   string // what the services are shown
	How     string // how the token came about, for people
	refresh string // the IdP's refresh token
	browser *browser
}

// SignIn opens a session at the IdP of a running system and gets a token for
// the demo application: the IdP's access token where it promises one, else, at
// the front door, a mesh token for its id_token.
func SignIn(ctx context.Context, system *devstack.Running, email, password string) (*Person, error) {
	b, err := newBrowser(system.Ports.URL(devstack.DevIDP))
	if err != nil {
		return nil, err
	}
	p := &Person{browser: b}
	if err := b.signIn(ctx, email, password); err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	return p, p.Authorize(ctx, system)
}

// Authorize gets a new token with the session that is open.
func (p *Person) Authorize(ctx context.Context, system *devstack.Running) error {
	secret, err := config.ReadSecretFile(system.SecretFile("idp-client-demo"))
	if err != nil {
		return err
	}
	token, err := p.browser.authorize(ctx, secret)
	if err != nil {
		return err
	}
	p.refresh = token.RefreshToken
	p.Token, p.How = token.AccessToken, "the IdP's access token is a JWT for orders and billing"
	if system.As == devstack.Observed {
		idToken, _ := token.Extra("id_token").(string)
		p.How = "the IdP's access token is opaque: its id_token was exchanged once at the front door for a mesh token"
		if p.Token, err = frontDoor(ctx, system, idToken); err != nil {
			return fmt.Errorf("front door: %w", err)
		}
	}
	p.ID, err = subject(p.Token)
	return err
}

// frontDoor exchanges an id_token for a token that the services accept.
func frontDoor(ctx context.Context, system *devstack.Running, idToken string) (string, error) {
	return exchange(ctx, system, url.Values{
		"grant_type": {grantTokenExchange}, "subject_token": {idToken}, "subject_token_type": {typeIDToken},
		"audience": {devstack.Orders, devstack.Billing},
	})
}

// exchange calls token-exchange as the demo application.
func exchange(ctx context.Context, system *devstack.Running, form url.Values) (string, error) {
	key, err := config.ReadSecretFile(system.SecretFile(devstack.DemoClient + ".key"))
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, system.Ports.URL(devstack.TokenExchange)+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(devstack.DemoClient), url.QueryEscape(key))
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = do(&http.Client{Timeout: eventually}, req, &answer)
	return answer.AccessToken, err
}

// claims are the JSON of a token that somebody else has verified or will; empty
// for anything but a JWT.
func claims(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return string(raw)
}

func subject(token string) (string, error) {
	var c struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal([]byte(claims(token)), &c); err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return c.Subject, nil
}

// operator calls a service as the system's operator.
func operator(system *devstack.Running, audience string, scopes ...string) (*http.Client, error) {
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: system.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: devstack.Operator,
		APIKeyFile: system.SecretFile(devstack.Operator + ".key"), Audience: audience, Scopes: scopes,
	})
	if err != nil {
		return nil, fmt.Errorf("become the operator: %w", err)
	}
	return &http.Client{Timeout: eventually, Transport: source.Transport(http.DefaultTransport)}, nil
}
