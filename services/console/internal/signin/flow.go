package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/console/internal/seal"
	"github.com/shadowless/shadowless/services/console/internal/session"
)

// AttemptLife is how long signing in at the provider may take.
const AttemptLife = 10 * time.Minute

// tokenTimeout bounds one call of the provider's token endpoint.
const tokenTimeout = 5 * time.Second

// Config of a Flow. FrontDoor is nil where services accept the provider's
// access tokens; Now nil is time.Now.
type Config struct {
	Issuer           string
	DiscoveryURL     string
	ClientID         string
	ClientSecretFile string // re-read each time
	RedirectURL      string
	Scopes           []string
	AllowPlainHTTP   bool
	HTTPClient       *http.Client
	Box              *seal.Box
	IDTokens         *authn.Verifier // made from IDTokenConfig
	AccessTokens     *authn.Verifier
	FrontDoor        *FrontDoor
	Now              func() time.Time
}

// Flow signs users in. It is safe for concurrent use.
type Flow struct {
	cfg      Config
	provider *discovery
}

// New makes a Flow; nothing is fetched yet.
func New(cfg Config) *Flow {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Flow{cfg: cfg, provider: &discovery{
		url: cfg.DiscoveryURL, issuer: cfg.Issuer, client: cfg.HTTPClient, plainHTTP: cfg.AllowPlainHTTP, now: cfg.Now,
	}}
}

// attempt is a sign-in under way. The browser keeps it, sealed.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
}

var attemptBinding = []byte("sign-in attempt")

// Begin returns where to send the browser, and what it must bring back in a
// cookie. Error: ErrUnavailable.
func (f *Flow) Begin(ctx context.Context) (address, sealed string, err error) {
	client, err := f.client(ctx)
	if err != nil {
		return "", "", err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Until: f.cfg.Now().Add(AttemptLife)}
	plain, err := json.Marshal(a)
	if err != nil {
		return "", "", fmt.Errorf("write the attempt: %w", err)
	}
	address = client.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier), oauth2.SetAuthURLParam("nonce", a.Nonce))
	return address, base64.RawURLEncoding.EncodeToString(f.cfg.Box.Seal(plain, attemptBinding)), nil
}

// Result of a sign-in.
type Result struct {
	UserID string
	Tokens session.Tokens
	// NotAfter is when the tokens can no longer be renewed; zero if unknown.
	NotAfter time.Time
}

// Finish takes the provider's answer to what Begin started. Errors: ErrAttempt,
// ErrState, ErrDenied, ErrToken, ErrUnavailable, and pkg/authn's for a token of
// a revoked user.
func (f *Flow) Finish(ctx context.Context, sealed string, answer url.Values) (Result, error) {
	a, err := f.opened(sealed)
	if err != nil {
		return Result{}, err
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1 {
		return Result{}, ErrState
	}
	// RFC 9207: a provider that says who it is must be the one that was asked.
	if iss := answer.Get("iss"); iss != "" && iss != f.cfg.Issuer {
		return Result{}, fmt.Errorf("%w: from another issuer", ErrState)
	}
	if code := answer.Get("error"); code != "" {
		return Result{}, fmt.Errorf("%w: %s", ErrDenied, plainCode(code))
	}
	client, err := f.client(ctx)
	if err != nil {
		return Result{}, err
	}
	callCtx, cancel := f.call(ctx)
	defer cancel()
	token, err := client.Exchange(callCtx, answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Result{}, tokenFault(err, ErrDenied)
	}
	return f.accept(ctx, token, a.Nonce)
}

func (f *Flow) opened(sealed string) (attempt, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return attempt{}, ErrAttempt
	}
	plain, err := f.cfg.Box.Open(raw, attemptBinding)
	if err != nil {
		return attempt{}, ErrAttempt
	}
	var a attempt
	if err := json.Unmarshal(plain, &a); err != nil || !f.cfg.Now().Before(a.Until) {
		return attempt{}, ErrAttempt
	}
	return a, nil
}

// accept verifies what the provider sent and finds the token for the mesh.
func (f *Flow) accept(ctx context.Context, token *oauth2.Token, nonce string) (Result, error) {
	idToken, ok := token.Extra("id_token").(string)
	if !ok || idToken == "" {
		return Result{}, fmt.Errorf("%w: there is no id_token", ErrToken)
	}
	user, err := f.verifyIDToken(ctx, idToken, nonce)
	if err != nil {
		return Result{}, err
	}
	result := Result{UserID: user.UserID(), Tokens: session.Tokens{Access: token.AccessToken, Refresh: token.RefreshToken}}
	if f.cfg.FrontDoor != nil {
		mesh, err := f.cfg.FrontDoor.Exchange(ctx, idToken)
		if err != nil {
			return Result{}, err
		}
		// The provider's own access and refresh tokens are of no use here.
		result.Tokens = session.Tokens{Access: mesh, IDToken: idToken}
		result.NotAfter = user.ExpiresAt()
	}
	access, err := f.cfg.AccessTokens.Verify(ctx, result.Tokens.Access)
	if err != nil {
		return Result{}, fmt.Errorf("access token: %w", err)
	}
	if access.UserID() != result.UserID {
		return Result{}, fmt.Errorf("%w: access token and id_token are about different users", ErrToken)
	}
	return result, nil
}

// Renew gets the next access token. Errors: ErrEnded, ErrUnavailable.
func (f *Flow) Renew(ctx context.Context, old session.Tokens) (session.Tokens, error) {
	switch {
	case f.cfg.FrontDoor != nil && old.IDToken != "":
		mesh, err := f.cfg.FrontDoor.Exchange(ctx, old.IDToken)
		return session.Tokens{Access: mesh, IDToken: old.IDToken}, err
	case f.cfg.FrontDoor != nil || old.Refresh == "":
		return session.Tokens{}, fmt.Errorf("%w: there is nothing to renew it with", ErrEnded)
	}
	client, err := f.client(ctx)
	if err != nil {
		return session.Tokens{}, err
	}
	callCtx, cancel := f.call(ctx)
	defer cancel()
	token, err := client.TokenSource(callCtx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return session.Tokens{}, tokenFault(err, ErrEnded)
	}
	return session.Tokens{Access: token.AccessToken, Refresh: token.RefreshToken}, nil
}

func (f *Flow) client(ctx context.Context) (*oauth2.Config, error) {
	endpoint, err := f.provider.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := config.ReadSecretFile(f.cfg.ClientSecretFile)
	if err != nil {
		return nil, fmt.Errorf("%w: CONSOLE_CLIENT_SECRET_FILE: %w", ErrUnavailable, err)
	}
	return &oauth2.Config{
		ClientID: f.cfg.ClientID, ClientSecret: secret, Endpoint: endpoint, RedirectURL: f.cfg.RedirectURL, Scopes: f.cfg.Scopes,
	}, nil
}

func (f *Flow) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, f.cfg.HTTPClient), tokenTimeout)
}

// tokenFault tells a refusal from an outage. The endpoint's own text stays out
// of it: it may quote what was sent.
func tokenFault(err, refused error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: token endpoint: %w", ErrUnavailable, err)
	}
	code := plainCode(answer.ErrorCode)
	if status := answer.Response.StatusCode; status != http.StatusBadRequest || code == "invalid_client" {
		return fmt.Errorf("%w: token endpoint answered %d %s", ErrUnavailable, status, code)
	}
	return fmt.Errorf("%w: token endpoint answered %s", refused, code)
}
