package devidp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/internal/httpserver"
	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

const name = "dev-idp"

// maxRetryWait between attempts to reach the database at start.
const maxRetryWait = 5 * time.Second

// errStarting is readiness while the database has not been read yet.
var errStarting = errors.New("the database has not been read yet")

// Run serves until ctx ends, then finishes requests and deliveries. It refuses
// with ErrNotDevelopment or ErrNotConfirmed. A database that is down delays
// readiness, not the start.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := errors.Join(cfg.refusals()...); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	opts, err := options(cfg, log)
	if err != nil {
		return err
	}
	url, err := config.ReadSecretFile(cfg.DatabaseURLFile)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	opts.Pool = pool

	var current atomic.Pointer[server.Server]
	health := &httpserver.Health{}
	health.Add("database", func(ctx context.Context) error {
		if current.Load() == nil {
			return errStarting
		}
		return pool.Ping(ctx)
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	failed := make(chan error, 1)
	group.Go(func() {
		started, err := begin(ctx, cfg, opts, log)
		if err != nil {
			if ctx.Err() == nil {
				failed <- err
			}
			stop()
			return
		}
		current.Store(started)
		started.Background(ctx)
	})
	err = httpserver.Serve(ctx, httpserver.Config{
		Name: name, Address: cfg.ListenAddress, TLSCertFile: cfg.TLSCertFile, TLSKeyFile: cfg.TLSKeyFile,
		InsecurePlainHTTP: cfg.InsecurePlainHTTP, ShutdownTimeout: cfg.ShutdownTimeout, Health: health, Logger: log, Ready: cfg.Ready,
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if started := current.Load(); started != nil {
			started.Handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		reply.Own(w, http.StatusServiceUnavailable, "starting", "The identity provider is starting")
	}))
	select {
	case fault := <-failed:
		return errors.Join(fault, err)
	default:
		return err
	}
}

// options are what the configuration says, without the database.
func options(cfg Config, log *slog.Logger) (server.Options, error) {
	m, err := mode.Parse(cfg.As)
	if err != nil {
		return server.Options{}, fmt.Errorf("DEV_IDP_AS: %w", err)
	}
	file, err := settings.Load(cfg.SettingsFile)
	if err != nil {
		return server.Options{}, err
	}
	client, err := httpclient.New(cfg.CAFile)
	if err != nil {
		return server.Options{}, err
	}
	attempts := cfg.SignInAttempts
	switch attempts {
	case 0:
		attempts = m.SignInAttempts()
	case -1:
		attempts = 0
	}
	return server.Options{
		Base: server.TrimBase(cfg.BaseURL), Mode: m, Settings: file, Seed: cfg.Seed, VerifyAtOnce: !cfg.RequireVerification,
		SignInAttempts: attempts, KeyRotation: cfg.KeyRotation, KeyRetention: cfg.KeyRetention,
		WebhookRetries: cfg.WebhookRetries, Client: client, Log: log, Now: time.Now,
	}, nil
}

// begin migrates, seeds and builds the server, again and again until the
// database answers. What trying again cannot mend ends the service.
func begin(ctx context.Context, cfg Config, opts server.Options, log *slog.Logger) (*server.Server, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, maxRetryWait
	return backoff.Retry(ctx, func() (*server.Server, error) {
		started, err := prepare(ctx, cfg, opts)
		if err != nil && reachable(ctx, opts.Pool) {
			return nil, backoff.Permanent(err)
		}
		return started, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		log.Warn("waiting for the database", "error", err, "retry_in", wait)
	}))
}

func prepare(ctx context.Context, cfg Config, opts server.Options) (*server.Server, error) {
	if cfg.MigrationDatabaseURLFile != "" {
		url, err := config.ReadSecretFile(cfg.MigrationDatabaseURLFile)
		if err != nil {
			return nil, err
		}
		if err := migrate.Up(ctx, url, Migrations()); err != nil {
			return nil, err
		}
	}
	return server.New(ctx, opts)
}

// reachable tells a database that is down from a step that fails.
func reachable(ctx context.Context, pool *pgxpool.Pool) bool { return pool.Ping(ctx) == nil }
