// Package signup forwards sign-ups to the identity provider. The provider takes
// them only with a secret that must not be in a browser, and limits them by the
// client's address, which it learns from us. E-mail addresses and passwords pass
// through and are neither kept nor logged.
package signup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/problem"
)

// What a sign-up is refused with.
var (
	ErrMissing             = problem.New(http.StatusBadRequest, "sign-up-incomplete", "Please give a name, an e-mail address and a password.")
	ErrTooLong             = problem.New(http.StatusBadRequest, "sign-up-too-long", "The name, the e-mail address or the password is too long.")
	ErrEmail               = problem.New(http.StatusUnprocessableEntity, "email-invalid", "That does not look like an e-mail address.")
	ErrEmailTaken          = problem.New(http.StatusConflict, "email-taken", "There is an account with this e-mail address already. Sign in instead.")
	ErrEmailDomain         = problem.New(http.StatusUnprocessableEntity, "email-domain", "This shop is not open to that e-mail domain.")
	ErrPasswordShort       = problem.New(http.StatusUnprocessableEntity, "password-too-short", "The password is too short. Use at least 8 characters.")
	ErrPasswordLong        = problem.New(http.StatusUnprocessableEntity, "password-too-long", "The password is too long. Use at most 128 characters.")
	ErrRefused             = problem.New(http.StatusUnprocessableEntity, "sign-up-refused", "The identity provider did not accept this sign-up.")
	ErrTooMany             = problem.New(http.StatusTooManyRequests, "too-many-sign-ups", "Too many sign-ups from your address. Wait a moment and try again.")
	ErrUnavailable         = problem.New(http.StatusServiceUnavailable, "sign-up-unavailable", "Signing up is not possible right now, because the identity provider does not answer.")
	ErrMisconfigured       = problem.New(http.StatusServiceUnavailable, "sign-up-misconfigured", "Signing up is not possible right now, because the identity provider does not accept sign-ups from here.")
	ErrNotConfigured       = problem.New(http.StatusNotFound, "sign-up-not-offered", "Signing up is not offered here.")
	maxField               = 320 // bytes; the longest e-mail address
	maxAnswer        int64 = 64 << 10
)

const (
	callTimeout = 8 * time.Second
	retryAfter  = 10 * time.Second
)

// SecretHeader carries the secret that the provider wants of whoever may sign
// users up.
const SecretHeader = "X-Internal-Signup-Secret" //nolint:gosec // a header's name

// Request is one person's sign-up. It has no String that could end in a log.
type Request struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
}

// String keeps the personal data out of logs.
func (Request) String() string { return "sign-up" }

// GoString is String.
func (r Request) GoString() string { return r.String() }

// Validate checks what needs no provider.
func (r Request) Validate() error {
	for _, field := range []string{r.Email, r.Password, r.Name} {
		switch {
		case field == "":
			return ErrMissing
		case len(field) > maxField || !utf8.ValidString(field):
			return ErrTooLong
		}
	}
	return nil
}

// Config of a Proxy.
type Config struct {
	URL        string // of the provider's sign-up
	SecretFile string // re-read each time
	Context    string // slug of the registration context, which gives a new account its grants
	HTTPClient *http.Client
	Limiter    *Limiter
}

// Proxy signs people up.
type Proxy struct{ Config }

// New makes a Proxy.
func New(cfg Config) *Proxy { return &Proxy{cfg} }

// forwarded is what the provider is sent.
type forwarded struct {
	Request
	Context string `json:"context,omitempty"`
}

// SignUp makes an account for a client that called from the address, and returns
// the new user's ID.
func (p *Proxy) SignUp(ctx context.Context, r Request, from netip.Addr) (userID string, err error) {
	if p.URL == "" {
		return "", ErrNotConfigured
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	if wait := p.Limiter.Take(from); wait > 0 {
		return "", ErrTooMany.After(wait)
	}
	secret, err := config.ReadSecretFile(p.SecretFile)
	if err != nil {
		return "", ErrMisconfigured.Because(err)
	}
	body, err := json.Marshal(forwarded{r, p.Context})
	if err != nil {
		return "", fmt.Errorf("write a sign-up: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("make a sign-up: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set(SecretHeader, secret)
	req.Header.Set("X-Forwarded-For", from.String())
	resp, err := p.HTTPClient.Do(req)
	if err != nil {
		return "", ErrUnavailable.Because(err).After(retryAfter)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", ErrUnavailable.Because(err).After(retryAfter)
	}
	return read(resp.StatusCode, resp.Header, raw)
}
