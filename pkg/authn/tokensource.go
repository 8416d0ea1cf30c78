package authn

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// TokenSourceConfig of NewTokenSource.
type TokenSourceConfig struct {
	// TokenURL is the token endpoint: https://token-exchange/oauth/token.
	TokenURL string
	// ClientID of this service.
	ClientID string
	// APIKeyFile holds the API key, which is the client secret. It is read
	// again for every request.
	APIKeyFile string
	// AssertionFile holds a projected workload token instead (RFC 7523).
	AssertionFile string
	// Audience that the token is for; "" leaves it to the endpoint.
	Audience string
	// Scopes asked for; none leaves them to the endpoint.
	Scopes []string
	// Revocations, if given, has a token dropped that was revoked, by its own
	// ID or its client's. A token that a service refuses is dropped anyway.
	Revocations *RevocationList
	// HTTPClient sends the requests; nil is a plain one. Redirects are not followed.
	HTTPClient *http.Client
	// Logger gets failures to replace a live token; nil is slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// TokenSource gets service tokens for this service's own credential and keeps
// one at hand. It is an oauth2.TokenSource, safe for concurrent use.
type TokenSource struct {
	live *liveToken
	work *background
}

var _ oauth2.TokenSource = (*TokenSource)(nil)

// NewTokenSource checks cfg and sends nothing yet.
func NewTokenSource(cfg TokenSourceConfig) (*TokenSource, error) {
	e := tokenEndpoint{
		url: cfg.TokenURL, clientID: cfg.ClientID, apiKeyFile: cfg.APIKeyFile,
		assertionFile: cfg.AssertionFile, client: withoutRedirects(cfg.HTTPClient), now: orNow(cfg.Now),
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("token source: %w", err)
	}
	log := orLogger(cfg.Logger)
	audience, scope := cfg.Audience, strings.Join(cfg.Scopes, " ")
	s := &TokenSource{work: newBackground()}
	s.live = &liveToken{now: e.now, background: s.work.run, revocations: cfg.Revocations, fetch: func(ctx context.Context) (*oauth2.Token, error) {
		form := url.Values{"grant_type": {GrantClientCredentials}}
		setUnlessEmpty(form, "audience", audience)
		setUnlessEmpty(form, "scope", scope)
		t, err := e.request(ctx, form)
		if err != nil {
			log.WarnContext(ctx, "service token could not be fetched", "audience", audience, "error", err)
		}
		return t, err
	}}
	return s, nil
}

// Token implements oauth2.TokenSource. See TokenContext.
func (s *TokenSource) Token() (*oauth2.Token, error) {
	return s.TokenContext(context.Background())
}

// TokenContext returns a live token. It waits, as long as ctx allows, only if
// there is none; a live one is replaced in the background before it ends, and
// handed out while the endpoint is down. The error wraps ErrTokenRefused or
// ErrTokenUnavailable.
func (s *TokenSource) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	t, err := s.live.get(ctx)
	if err != nil {
		return nil, err
	}
	own := *t
	return &own, nil
}

// Close ends background work and waits for it.
func (s *TokenSource) Close() { s.work.close() }

// Transport returns a RoundTripper that sends requests with this source's
// token; a nil base is http.DefaultTransport. A token that is answered with
// 401 is dropped, and the request repeated once with a new one if its body
// allows. A redirect to another host gets no token.
func (s *TokenSource) Transport(base http.RoundTripper) http.RoundTripper {
	return newTransport(base, func(req *http.Request) (*oauth2.Token, func(), error) {
		t, err := s.TokenContext(req.Context())
		if err != nil {
			return nil, nil, err
		}
		return t, func() { s.live.forget(t.AccessToken) }, nil
	})
}

func setUnlessEmpty(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// withoutRedirects copies a client and keeps it from following redirects: a
// 307 would carry credential and subject token to wherever it points.
func withoutRedirects(c *http.Client) *http.Client {
	own := &http.Client{}
	if c != nil {
		*own = *c
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return own
}

func orNow(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

func orLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
