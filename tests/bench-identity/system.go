package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/pkg/authn"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// What the run turns up, because it would measure the limit and not the work.
const (
	idpRequestsPerSecond = 1_000_000
	erasuresPerHour      = 1_000_000
)

// system is what is measured.
type system struct {
	options
	dir        string
	running    *devstack.Running
	stack      *measure.Process
	services   map[string]*measure.Process
	provider   *provider
	conn       *nats.Conn
	js         jetstream.JetStream
	log        *slog.Logger
	operator   *relayapi.Client
	token      *authn.TokenSource
	webhooks   *webhooks
	connection *http.Transport
}

// always are the services that every part needs: the relay, and those whose keys
// it waits for.
var always = []string{devstack.DevIDP, devstack.TokenExchange, devstack.IdentityRelay}

func openSystem(ctx context.Context, o options) (s *system, err error) {
	s = &system{
		options: o, services: map[string]*measure.Process{}, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		connection: &http.Transport{MaxIdleConnsPerHost: o.connections, MaxConnsPerHost: o.connections},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench-identity-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // Postgres runs as another user
		return nil, err
	}
	progress("starting Postgres, NATS and the services in %s", s.dir)
	state := filepath.Join(s.dir, "state")
	if s.stack, err = measure.Start(filepath.Join(s.dir, "stack.log"), []string{stackMode, state}, nil); err != nil {
		return nil, err
	}
	if s.running, err = s.findRunning(ctx, state); err != nil {
		return nil, err
	}
	if s.provider, err = newProvider(s.dir, o.population); err != nil {
		return nil, err
	}
	if err := s.start(ctx, always...); err != nil {
		return nil, err
	}
	if s.conn, s.js, err = s.connect(); err != nil {
		return nil, err
	}
	return s, s.openClients()
}

const startTimeout = time.Minute

func (s *system) findRunning(ctx context.Context, state string) (*devstack.Running, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		running, err := devstack.FindRunning(ctx, state)
		if err == nil {
			return running, nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(s.dir, "stack.log"))
			return nil, fmt.Errorf("the stack does not come up: %w\n%s", err, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// overrides is what this run changes in a service's environment.
func (s *system) overrides(service string) ([]string, error) {
	common := []string{"LOG_LEVEL=WARN"}
	if service != devstack.IdentityRelay {
		return common, nil
	}
	database, err := config.ReadSecretFile(s.running.SecretFile(devstack.DatabaseName(service) + "_runtime.url"))
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(database)
	if err != nil {
		return nil, errors.New("the relay's database has no URL") // the cause would quote the password
	}
	query := address.Query()
	query.Set("pool_max_conns", strconv.Itoa(s.pool))
	address.RawQuery = query.Encode()
	file := filepath.Join(s.dir, "relay-database.url")
	if err := os.WriteFile(file, []byte(address.String()), 0o600); err != nil {
		return nil, err
	}
	return append(common, "DATABASE_URL_FILE="+file,
		"IDENTITY_RELAY_USER_LIST=scim", "IDENTITY_RELAY_SCIM_URL="+s.provider.url, "IDENTITY_RELAY_SCIM_BEARER_FILE="+s.provider.bearerFile,
		"IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND="+strconv.Itoa(idpRequestsPerSecond),
		"IDENTITY_RELAY_ERASURES_PER_HOUR="+strconv.Itoa(erasuresPerHour),
		"IDENTITY_RELAY_RECONCILE_INTERVAL=0s", measure.ProfileVariable+"="+s.profile,
	), nil
}

// start runs services side by side and waits until they are ready.
func (s *system) start(ctx context.Context, names ...string) error {
	for _, name := range names {
		if s.services[name] != nil {
			continue
		}
		raw, err := os.ReadFile(s.running.EnvironFile(name))
		if err != nil {
			return err
		}
		changed, err := s.overrides(name)
		if err != nil {
			return err
		}
		environ := append(strings.Split(strings.TrimSpace(string(raw)), "\n"), changed...)
		s.services[name], err = measure.Start(filepath.Join(s.dir, name+".log"), []string{serveMode, name}, environ)
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := s.services[name].Ready(ctx, s.running.Ports.URL(name)+"/readyz"); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *system) openClients() (err error) {
	s.token, err = authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: s.running.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: devstack.Operator,
		APIKeyFile: s.running.SecretFile(devstack.Operator + ".key"), Audience: relayapi.Audience, Scopes: []string{relayapi.Scope},
	})
	if err != nil {
		return err
	}
	relay := s.running.Ports.URL(devstack.IdentityRelay)
	s.operator, err = relayapi.NewClient(relay, &http.Client{Timeout: startTimeout, Transport: s.token.Transport(s.connection)})
	if err != nil {
		return err
	}
	secret, err := config.ReadSecretFile(s.running.SecretFile("idp-webhook"))
	if err != nil {
		return err
	}
	s.webhooks = &webhooks{url: relay + devstack.WebhookPath, secret: []byte(secret), client: &http.Client{Timeout: startTimeout, Transport: s.connection}}
	return nil
}

// connect is to NATS, as the operator, who may do everything.
func (s *system) connect() (*nats.Conn, jetstream.JetStream, error) { return connect(s.running, s.log) }

func connect(running *devstack.Running, log *slog.Logger) (*nats.Conn, jetstream.JetStream, error) {
	return natsconn.Connect(natsconn.Config{
		URL: "nats://" + running.Ports.Address(devstack.NATS), NKeySeedFile: running.SecretFile(devstack.Operator + ".nkey"),
		Name: devstack.Operator, Logger: log,
	})
}

// database opens a service's as its owner.
func (s *system) database(ctx context.Context, service string) (*pgxpool.Pool, error) {
	url, err := config.ReadSecretFile(s.running.SecretFile(devstack.DatabaseName(service) + "_migrator.url"))
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the database of %s: %w", service, err)
	}
	return pool, nil
}

func (s *system) close() {
	if s.token != nil {
		s.token.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	for _, p := range s.services {
		p.Stop()
	}
	if s.stack != nil {
		s.stack.Stop()
	}
	if s.provider != nil {
		s.provider.close()
	}
	switch {
	case s.dir == "":
	case s.keep:
		progress("logs and data are in %s", s.dir)
	default:
		_ = os.RemoveAll(s.dir) // it is temporary
	}
}
