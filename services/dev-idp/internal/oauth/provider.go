// Package oauth is the OpenID Connect side: authorization code with PKCE,
// refresh, userinfo, discovery and the key set.
package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// Lifetimes that both modes share.
const (
	codeLifetime         = 10 * time.Minute
	refreshLifetime      = 7 * 24 * time.Hour
	sessionTokenLifetime = 48 * time.Hour
)

// minEntropy of state and nonce, in characters; the observed server has none.
const minEntropy = 8

var scopes = []string{"openid", "profile", "email", "offline_access"}

// Options of the OpenID Connect routes.
type Options struct {
	Base          string
	TokenAudience string
	Mode          mode.Mode
	Pool          *pgxpool.Pool
	Clients       []settings.Client
	Keys          *keys.Ring
	Model         *permissions.Model
	Browser       *browser.Browser
	Attempts      *limit.Limiter // of sign-in, shared with the account routes
	KeySetLimit   *limit.Limiter
	Log           *slog.Logger
	Now           func() time.Time
}

// Provider serves the OpenID Connect routes.
type Provider struct {
	Options
	provider fosite.OAuth2Provider
	storage  *storage
	strategy *strategy
}

// New wires the OAuth library to our storage and tokens. PKCE with S256 is
// required of every client.
func New(opts Options) *Provider {
	store := &storage{pool: opts.Pool, mode: opts.Mode, clients: map[string]fosite.Client{}, now: opts.Now}
	for _, c := range opts.Clients {
		store.clients[c.ID] = libraryClient(c)
	}
	s := &strategy{base: opts.Base, audience: opts.TokenAudience, mode: opts.Mode, ring: opts.Keys, model: opts.Model, storage: store}
	config := &fosite.Config{
		AccessTokenLifespan:   opts.Mode.AccessTokenLifetime(),
		RefreshTokenLifespan:  refreshLifetime,
		AuthorizeCodeLifespan: codeLifetime,
		IDTokenLifespan:       opts.Mode.IDTokenLifetime(),
		IDTokenIssuer:         opts.Base,
		EnforcePKCE:           true,
		RefreshTokenScopes:    []string{"offline_access"},
		ScopeStrategy:         fosite.ExactScopeStrategy,
		MinParameterEntropy:   minEntropy,
		ClientSecretsHasher:   secretHasher{},
		// Which redirect URIs are good is decided where clients are configured.
		RedirectSecureChecker: func(context.Context, *url.URL) bool { return true },
	}
	if opts.Mode.Observed() {
		config.MinParameterEntropy = 1
	}
	code := &fositeoauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: s, RefreshTokenStrategy: s, AuthorizeCodeStrategy: s,
		CoreStorage: store, TokenRevocationStorage: store, Config: config,
	}
	refresh := &fositeoauth2.RefreshTokenGrantHandler{
		AccessTokenStrategy: s, RefreshTokenStrategy: s, TokenRevocationStorage: store, Config: config,
	}
	helper := &openid.IDTokenHandleHelper{IDTokenStrategy: s}
	explicit := &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage: store, IDTokenHandleHelper: helper, Config: config,
		OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(noHints{}, config),
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: s, Storage: store, Config: config}
	for _, handler := range []fosite.AuthorizeEndpointHandler{code, explicit, proof} {
		config.AuthorizeEndpointHandlers.Append(handler)
	}
	for _, handler := range []fosite.TokenEndpointHandler{code, refresh, explicit, proof} {
		config.TokenEndpointHandlers.Append(handler)
	}
	if !opts.Mode.Observed() {
		// The observed server's refresh returns no id_token.
		config.TokenEndpointHandlers.Append(&openid.OpenIDConnectRefreshHandler{IDTokenHandleHelper: helper, Config: config})
	}
	return &Provider{Options: opts, provider: fosite.NewOAuth2Provider(store, config), storage: store, strategy: s}
}

// SessionToken makes the JWT of get-session's set-auth-jwt header.
func (p *Provider) SessionToken(r *http.Request, user users.User, session sessions.Session) (string, error) {
	return p.strategy.SessionToken(r.Context(), user, session)
}

// Prune forgets expired codes and tokens.
func (p *Provider) Prune(ctx context.Context) error { return p.storage.prune(ctx) }

func libraryClient(c settings.Client) fosite.Client {
	client := &fosite.DefaultClient{
		ID: c.ID, RedirectURIs: c.RedirectURIs, Public: c.Public(),
		GrantTypes:    []string{"authorization_code", "refresh_token"},
		ResponseTypes: []string{"code"},
		Scopes:        scopes, Audience: c.Audiences,
	}
	if !client.Public {
		sum := sha256.Sum256([]byte(c.Secret.Value))
		client.Secret = sum[:]
	}
	return client
}

// secretHasher compares SHA-256 sums: client secrets are random, and a slow hash
// would only slow every token request.
type secretHasher struct{}

var errSecret = errors.New("the client secret does not match")

func (secretHasher) Compare(_ context.Context, hash, data []byte) error {
	sum := sha256.Sum256(data)
	if subtle.ConstantTimeCompare(hash, sum[:]) != 1 {
		return errSecret
	}
	return nil
}

func (secretHasher) Hash(_ context.Context, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return sum[:], nil
}
