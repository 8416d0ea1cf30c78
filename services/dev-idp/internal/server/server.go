// Package server puts the identity provider together: stores, routes and the
// background work of one process.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/account"
	"github.com/shadowless/shadowless/services/dev-idp/internal/admin"
	"github.com/shadowless/shadowless/services/dev-idp/internal/apikeys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/machine"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/oauth"
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
	"github.com/shadowless/shadowless/services/dev-idp/internal/signin"
	"github.com/shadowless/shadowless/services/dev-idp/internal/social"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// pruneEvery is how often what has expired is removed.
const pruneEvery = time.Minute

// jwksRequests per mode.SignInWindow and address that the observed server serves.
const jwksRequests = 100

// Options of the identity provider.
type Options struct {
	Base           string // scheme and host, without a trailing slash
	Mode           mode.Mode
	Settings       settings.Settings
	Pool           *pgxpool.Pool
	Seed           bool
	VerifyAtOnce   bool
	SignInAttempts int // per mode.SignInWindow and address; 0 is no limit
	KeyRotation    time.Duration
	KeyRetention   time.Duration
	WebhookRetries []time.Duration // nil: webhooks.DefaultRetries
	Client         *http.Client
	Log            *slog.Logger
	Now            func() time.Time
}

// Server is the identity provider.
type Server struct {
	Handler http.Handler

	queue    *webhooks.Queue
	provider *oauth.Provider
	upstream *social.Upstream
	opts     Options
}

// New reads what the database holds, seeds it, and builds the routes.
func New(ctx context.Context, opts Options) (*Server, error) {
	model, err := permissions.NewModel(opts.Settings.Model, opts.Settings.TokenBuild)
	if err != nil {
		return nil, fmt.Errorf("compile the permission model: %w", err)
	}
	ring, err := keys.Open(ctx, opts.Pool, opts.Mode.Algorithm(), opts.KeyRotation, opts.KeyRetention, opts.Now)
	if err != nil {
		return nil, err
	}
	cookieKey, err := instanceSecret(ctx, opts.Pool, "cookies")
	if err != nil {
		return nil, err
	}
	queue := webhooks.NewQueue(opts.Pool, webhooks.Options{
		Mode: opts.Mode, Endpoints: opts.Settings.Webhooks, Retries: opts.WebhookRetries,
		Client: opts.Client, Logger: opts.Log, Now: opts.Now,
	})
	life := &lifecycle.Service{
		Pool: opts.Pool, Mode: opts.Mode, Settings: opts.Settings, Queue: queue, VerifyAtOnce: opts.VerifyAtOnce, Now: opts.Now,
	}
	if err := prepare(ctx, opts, life); err != nil {
		return nil, err
	}
	base, err := url.Parse(opts.Base)
	if err != nil {
		return nil, fmt.Errorf("parse the base URL: %w", err)
	}
	web := &browser.Browser{
		Life:    life,
		Cookies: sessions.Cookies{Key: cookieKey, Secure: base.Scheme == "https"},
		Origins: append([]string{base.Scheme + "://" + base.Host}, opts.Settings.TrustedOrigins...),
	}
	attempts := limit.New(opts.SignInAttempts, mode.SignInWindow, opts.Now)
	keySets := 0
	if opts.Mode.Observed() {
		keySets = jwksRequests
	}
	s := &Server{queue: queue, opts: opts}
	s.provider = oauth.New(oauth.Options{
		Base: opts.Base, TokenAudience: opts.Settings.TokenAudience, Mode: opts.Mode, Pool: opts.Pool, Clients: opts.Settings.Clients,
		Keys: ring, Model: model, Browser: web, Attempts: attempts,
		KeySetLimit: limit.New(keySets, mode.SignInWindow, opts.Now), Log: opts.Log, Now: opts.Now,
	})
	s.upstream = &social.Upstream{Pool: opts.Pool, Callback: social.CallbackURL(opts.Base), Now: opts.Now}

	mux := http.NewServeMux()
	for _, routes := range []interface{ Register(mux *http.ServeMux) }{
		s.provider, s.upstream,
		&social.Hop{Base: opts.Base, Browser: web, Client: opts.Client, Key: cookieKey, Log: opts.Log, Now: opts.Now},
		&account.Handler{
			Browser: web, Mode: opts.Mode, SignUpSecret: opts.Settings.SignUpSecret.Value, Attempts: attempts,
			SessionToken: s.provider.SessionToken, Log: opts.Log,
		},
		&admin.Handler{Browser: web, Mode: opts.Mode, Log: opts.Log},
		&machine.Handler{
			Pool: opts.Pool, Mode: opts.Mode, Base: opts.Base, TokenAudience: opts.Settings.TokenAudience,
			RotationSecret: opts.Settings.RotationSecret.Value, Keys: ring, Model: model, Browser: web, Log: opts.Log, Now: opts.Now,
		},
	} {
		routes.Register(mux)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { signin.WriteNotFound(w) })
	s.Handler = mux
	return s, nil
}

// prepare seeds users and stores the configured API keys with their grants.
func prepare(ctx context.Context, opts Options, life *lifecycle.Service) error {
	if opts.Seed {
		if err := life.Seed(ctx); err != nil {
			return fmt.Errorf("seed the users: %w", err)
		}
	}
	if err := apikeys.Sync(ctx, opts.Pool, opts.Settings.APIKeys, opts.Now(), opts.Log); err != nil {
		return err
	}
	return life.SeedKeyGrants(ctx)
}

// Background delivers webhooks and prunes until ctx ends.
func (s *Server) Background(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { s.queue.Run(ctx) })
	group.Go(func() { s.prune(ctx) })
	group.Wait()
}

func (s *Server) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, step := range []func(context.Context) error{
			s.provider.Prune, s.upstream.Prune,
			func(ctx context.Context) error { return sessions.Prune(ctx, s.opts.Pool, s.opts.Now()) },
		} {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				s.opts.Log.Warn("pruning failed", "error", err)
			}
		}
	}
}

// secretSize of an instance's own secrets, in bytes.
const secretSize = 32

// instanceSecret is made once per database, so that cookies outlive a restart.
func instanceSecret(ctx context.Context, pool *pgxpool.Pool, name string) ([]byte, error) {
	_, err := pool.Exec(ctx, `INSERT INTO instance_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, random.Bytes(secretSize))
	if err != nil {
		return nil, fmt.Errorf("make the secret for %s: %w", name, err)
	}
	var value []byte
	if err := pool.QueryRow(ctx, `SELECT value FROM instance_secrets WHERE name = $1`, name).Scan(&value); err != nil {
		return nil, fmt.Errorf("read the secret for %s: %w", name, err)
	}
	return value, nil
}

// TrimBase is a base URL as issuers are written: without a trailing slash.
func TrimBase(base string) string { return strings.TrimRight(base, "/") }
