package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// GrantClientCredentials is RFC 6749, section 4.4.
	GrantClientCredentials = "client_credentials"
	// GrantTokenExchange is RFC 8693.
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	// TokenTypeAccessToken is RFC 8693, section 3.
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

	assertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	tokenTimeout          = 5 * time.Second
	maxTokenResponseBytes = 64 << 10
	maxCredentialBytes    = 16 << 10
)

// TokenError is the token endpoint's refusal (RFC 6749, section 5.2). It wraps
// ErrTokenRefused.
type TokenError struct {
	// Status is the answer's HTTP status.
	Status int
	// Code is `error`: invalid_client, invalid_grant, invalid_scope and so on.
	Code string
}

// Error names status and code; the endpoint's description stays out, because
// it may quote what was sent.
func (e *TokenError) Error() string {
	return fmt.Sprintf("%s: status %d, %s", ErrTokenRefused, e.Status, e.Code)
}

// Unwrap returns ErrTokenRefused.
func (e *TokenError) Unwrap() error { return ErrTokenRefused }

// tokenEndpoint sends requests to a token endpoint as one client.
type tokenEndpoint struct {
	url           string
	clientID      string
	apiKeyFile    string
	assertionFile string
	client        *http.Client
	now           func() time.Time
}

func (e *tokenEndpoint) check() error {
	var faults []error
	if u, err := url.Parse(e.url); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		faults = append(faults, errors.New("token URL: must be an http(s) URL"))
	}
	if e.clientID == "" && e.assertionFile == "" {
		faults = append(faults, errors.New("client ID: required"))
	}
	if (e.apiKeyFile == "") == (e.assertionFile == "") {
		faults = append(faults, errors.New("credential: one of API key file and assertion file is required"))
	}
	return errors.Join(faults...)
}

// request sends one form and returns the token. The credential is read from
// its file each time, so that a rotated one is used at once.
func (e *tokenEndpoint) request(ctx context.Context, form url.Values) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	var secret string
	var err error
	if e.assertionFile != "" {
		if secret, err = readCredential(e.assertionFile); err != nil {
			return nil, err
		}
		form.Set("client_assertion_type", assertionTypeJWT)
		form.Set("client_assertion", secret)
		if e.clientID != "" {
			form.Set("client_id", e.clientID)
		}
	} else if secret, err = readCredential(e.apiKeyFile); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("build token request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if e.assertionFile == "" {
		// RFC 6749, section 2.3.1: both parts are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(e.clientID), url.QueryEscape(secret))
	}
	sent := e.now()
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenResponseBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: read answer: %w", ErrTokenUnavailable, err)
	}
	return readTokenResponse(resp.StatusCode, data, sent)
}

// readTokenResponse reads RFC 6749, sections 5.1 and 5.2.
func readTokenResponse(status int, data []byte, sent time.Time) (*oauth2.Token, error) {
	var body struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
	}
	err := json.Unmarshal(data, &body)
	switch {
	case status >= 500 || status == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d", ErrTokenUnavailable, status)
	case status != http.StatusOK:
		return nil, &TokenError{Status: status, Code: errorCode(body.Error)}
	case err != nil:
		return nil, fmt.Errorf("%w: decode answer", ErrTokenUnavailable)
	case body.AccessToken == "" || !strings.EqualFold(body.TokenType, "Bearer") || body.ExpiresIn <= 0:
		return nil, fmt.Errorf("%w: answer holds no bearer token with a lifetime", ErrTokenUnavailable)
	}
	// Counted from before the request, so never longer than it really lives.
	return &oauth2.Token{
		AccessToken: body.AccessToken, TokenType: "Bearer", ExpiresIn: body.ExpiresIn,
		Expiry: sent.Add(time.Duration(body.ExpiresIn) * time.Second),
	}, nil
}

// errorCode keeps a code that looks like one, so that nothing else gets into logs.
func errorCode(code string) string {
	if code == "" || len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "unknown_error"
	}
	return code
}

func readCredential(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: open credential: %w", ErrTokenUnavailable, err)
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialBytes))
	if err != nil {
		return "", fmt.Errorf("%w: read credential: %w", ErrTokenUnavailable, err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("%w: credential file is empty", ErrTokenUnavailable)
	}
	return secret, nil
}
