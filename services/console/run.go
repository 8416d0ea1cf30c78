// Package console is the web page: it signs people in, shows who they are and
// what their token holds, and lets them order, pay and ask for refunds. It keeps
// sessions and no profile.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/console/internal/seal"
	"github.com/shadowless/shadowless/services/console/internal/session"
	"github.com/shadowless/shadowless/services/console/internal/shop"
	"github.com/shadowless/shadowless/services/console/internal/signin"
	"github.com/shadowless/shadowless/services/console/internal/signup"
	"github.com/shadowless/shadowless/services/console/internal/web"
)

// Name of the service: its audience, NATS user and participant.
const Name = "console"

// Prefix of its own environment variables.
const Prefix = "CONSOLE_"

// sweepEvery is how often sessions that have ended are deleted. Nobody can use
// them before that.
const sweepEvery = 5 * time.Minute

// NewSessionKey is a line for CONSOLE_SESSION_KEY_FILE.
func NewSessionKey() string { return seal.NewKey() }

// Migrations are the sets that make the console's tables.
func Migrations() []migrate.Set {
	return []migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		{Name: "console", FS: session.Migrations, Dir: "migrations"},
	}
}

// Run serves the console until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: Migrations(), Logger: log,
	})
	if err != nil {
		return fmt.Errorf("open the mesh: %w", err)
	}
	handler, closeAll, err := wire(ctx, m, cfg)
	if err != nil {
		return err
	}
	defer closeAll()
	return m.Serve(ctx, handler)
}

func wire(ctx context.Context, m *mesh.Mesh, cfg Config) (http.Handler, func(), error) {
	keys, err := seal.Load(cfg.SessionKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("CONSOLE_SESSION_KEY_FILE: %w", err)
	}
	boxes := map[string]*seal.Box{}
	for _, purpose := range []string{"tokens", "sign-in", "notices"} {
		if boxes[purpose], err = keys.For(purpose); err != nil {
			return nil, nil, err
		}
	}
	erasures, err := answerErasures(m, cfg)
	if err != nil {
		return nil, nil, err
	}
	calls, err := shop.New(cfg.OrdersURL, cfg.BillingURL, m.HTTPClient)
	if err != nil {
		return nil, nil, err
	}
	idTokens, err := idTokenVerifier(ctx, m, cfg)
	if err != nil {
		return nil, nil, err
	}
	sessions := session.NewStore(session.StoreConfig{
		Pool: m.Pool, Box: boxes["tokens"], Tombstones: erasures.Tombstones(), Lifetime: cfg.SessionLifetime, Idle: cfg.SessionIdle,
	})
	pages := web.New(web.Config{
		Flow: signin.New(signin.Config{
			Issuer: cfg.Issuer, DiscoveryURL: cfg.DiscoveryURL, ClientID: cfg.ClientID, ClientSecretFile: cfg.ClientSecretFile,
			RedirectURL: cfg.PublicURL + "/auth/callback", Scopes: cfg.Scopes, AllowPlainHTTP: cfg.IsDevelopment(),
			HTTPClient: m.HTTPClient, Box: boxes["sign-in"], IDTokens: idTokens, AccessTokens: m.Verifier, FrontDoor: frontDoor(m, cfg),
		}),
		Sessions: sessions, Shop: calls, Verifier: m.Verifier, Notices: boxes["notices"],
		SignUp: signup.New(signup.Config{
			URL: cfg.SignUpURL, SecretFile: cfg.SignUpSecretFile, Context: cfg.SignUpContext, HTTPClient: m.HTTPClient,
			Limiter: signup.NewLimiter(cfg.SignUpEvery, cfg.SignUpBurst, nil),
		}),
		SecureCookies: cfg.secure(), TrustedProxies: cfg.TrustedProxies, Places: places(cfg), Logger: m.Logger,
	})
	m.Go("erasures", erasures.Run)
	m.Go("ended sessions", func(ctx context.Context) error { return sweep(ctx, sessions, m.Logger) })

	mux := access.NewMux(Access(), m.Verifier)
	pages.Register(mux)
	userids.Handle(mux, erasures)
	holdings.Handle(mux, erasures)
	handler, err := mux.Handler()
	if err != nil {
		idTokens.Close()
		return nil, nil, err
	}
	return pages.Protect(handler), idTokens.Close, nil
}

func answerErasures(m *mesh.Mesh, cfg Config) (*participant.Participant, error) {
	dispositions, err := Manifest()
	if err != nil {
		return nil, err
	}
	return participant.New(participant.Config{
		Name: Name, Manifest: dispositions, Pool: m.Pool, JetStream: m.JetStream, TombstoneKeyFile: cfg.TombstoneKeyFile, Logger: m.Logger,
	})
}

// idTokenVerifier is a second verifier because an id_token has another header
// type than an access token, and neither may pass for the other.
func idTokenVerifier(ctx context.Context, m *mesh.Mesh, cfg Config) (*authn.Verifier, error) {
	all, err := authn.LoadConfig(cfg.AuthnConfigFile)
	if err != nil {
		return nil, fmt.Errorf("AUTHN_CONFIG_FILE: %w", err)
	}
	own, err := signin.IDTokenConfig(all, cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var keys authn.KeyStore
	if cfg.KeySetDir != "" {
		keys = authn.DirKeyStore(cfg.KeySetDir)
	}
	v, err := authn.New(ctx, own, authn.Options{
		Audiences: []string{cfg.ClientID}, Revocations: m.Revocations, KeyStore: keys,
		HTTPClient: m.HTTPClient, Logger: m.Logger, Development: cfg.IsDevelopment(),
	})
	if err != nil {
		return nil, fmt.Errorf("make the verifier of id_tokens: %w", err)
	}
	return v, nil
}

func frontDoor(m *mesh.Mesh, cfg Config) *signin.FrontDoor {
	if !cfg.FrontDoor {
		return nil
	}
	return &signin.FrontDoor{
		TokenURL: cfg.TokenExchangeURL + "/oauth/token", ClientID: Name, APIKeyFile: cfg.APIKeyFile,
		Audiences: cfg.FrontDoorAudiences, HTTPClient: m.HTTPClient,
	}
}

func sweep(ctx context.Context, sessions *session.Store, log *slog.Logger) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if _, err := sessions.Sweep(ctx); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "sessions that have ended were not deleted", "error", err)
			}
		}
	}
}
