// Package mesh is a service's place among the others: its database, its NATS
// connection, the verifier with its revocation feed, and the background work
// that starts and stops with its server.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/internal/httpserver"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/keyset"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// Options of one service.
type Options struct {
	Name       string // also its NATS user and client ID
	Common     config.Common
	Backends   config.Backends
	Audiences  []string // empty: Name
	Migrations []migrate.Set
	Logger     *slog.Logger
	Now        func() time.Time // nil: time.Now
	HTTPClient *http.Client     // nil: one that trusts CA_FILE
	// Connections is how many the pool may have at least; the database's URL may say otherwise.
	Connections int32
	// SkipRevocations is for a service that learns of users in another way: there
	// is no list, so no route of its access table may fail closed.
	SkipRevocations bool
	// Trust changes what AUTHN_CONFIG_FILE says, where the service knows better;
	// nil changes nothing.
	Trust func(*authn.Config)
}

// Mesh is what Open connected.
type Mesh struct {
	Name        string
	Verifier    *authn.Verifier
	Revocations *authn.RevocationList
	Conn        *nats.Conn
	JetStream   jetstream.JetStream
	Pool        *pgxpool.Pool
	Health      *httpserver.Health
	HTTPClient  *http.Client
	Logger      *slog.Logger

	common     config.Common
	background []work
}

type work struct {
	name string
	run  func(context.Context) error
}

// Open connects everything and waits only for the migrations, where the
// migrator's URL is set. What is down later comes up by itself; /readyz tells.
func Open(ctx context.Context, o Options) (*Mesh, error) {
	m := &Mesh{Name: o.Name, Health: &httpserver.Health{}, HTTPClient: o.HTTPClient, Logger: o.Logger, common: o.Common}
	if err := m.open(ctx, o); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mesh) open(ctx context.Context, o Options) (err error) {
	if err := m.migrate(ctx, o.Backends, o.Migrations); err != nil {
		return err
	}
	if m.Pool, err = OpenPool(ctx, o.Backends, o.Connections); err != nil {
		return err
	}
	if m.HTTPClient == nil {
		if m.HTTPClient, err = httpclient.New(o.Common.CAFile); err != nil {
			return err
		}
	}
	m.Conn, m.JetStream, err = natsconn.Connect(natsconn.Config{
		URL: o.Backends.NATSURL, NKeySeedFile: o.Backends.NATSNKeySeedFile, CAFile: o.Common.CAFile, Name: o.Name, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	if err := m.openVerifier(ctx, o); err != nil {
		return err
	}
	m.Health.Add("postgres", m.Pool.Ping)
	m.Health.Add("issuer-keys", func(context.Context) error { return m.Verifier.Ready() })
	if o.SkipRevocations {
		return nil
	}
	m.Health.Add("revocations", func(context.Context) error {
		if !m.Revocations.Loaded() {
			return errors.New("the revocations are not loaded yet")
		}
		return nil
	})
	return nil
}

func (m *Mesh) openVerifier(ctx context.Context, o Options) error {
	cfg, err := authn.LoadConfig(o.Backends.AuthnConfigFile)
	if err != nil {
		return fmt.Errorf("AUTHN_CONFIG_FILE: %w", err)
	}
	if o.Trust != nil {
		o.Trust(&cfg)
	}
	audiences := o.Audiences
	if len(audiences) == 0 {
		audiences = []string{o.Name}
	}
	var keys authn.KeyStore
	switch {
	case o.Backends.KeySetDir != "":
		keys = authn.DirKeyStore(o.Backends.KeySetDir)
	case o.Backends.KeySetBucket:
		keys = keyset.NewStore(m.JetStream, streams.KeySets, o.Name)
	}
	if !o.SkipRevocations {
		m.Revocations = authn.NewRevocationList(authn.RevocationListOptions{Now: o.Now})
	}
	m.Verifier, err = authn.New(ctx, cfg, authn.Options{
		Audiences: audiences, Revocations: m.Revocations, SkipRevocation: o.SkipRevocations, KeyStore: keys, HTTPClient: m.HTTPClient,
		Logger: o.Logger, Now: o.Now, Development: o.Common.IsDevelopment(),
	})
	if err != nil {
		return fmt.Errorf("make the verifier: %w", err)
	}
	if o.SkipRevocations {
		return nil
	}
	instance, err := replica(o.Name)
	if err != nil {
		return err
	}
	feed := revocation.NewFeed(m.JetStream, revocation.FeedConfig{
		Bucket: streams.Revocations, Instance: instance, Upstream: o.revoker(), Logger: o.Logger,
	})
	m.Go("revocation feed", func(ctx context.Context) error { return feed.Run(ctx, m.Revocations) })
	return nil
}

// revoker is whose heartbeat tells that revocations still arrive. The relay
// writes that heartbeat itself.
func (o Options) revoker() string {
	if o.Name == streams.Revoker {
		return ""
	}
	return streams.RevokerHeartbeat
}

// replica names this process in the bucket of heartbeats.
func replica(service string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this replica: %w", err)
	}
	// A KV key has no room for the dots of a host name.
	return fmt.Sprintf("%s-%s-%d", service, strings.ReplaceAll(host, ".", "-"), os.Getpid()), nil
}

// Go adds background work that Serve runs. It must return nil when its context
// ends; an error stops the service.
func (m *Mesh) Go(name string, run func(context.Context) error) {
	m.background = append(m.background, work{name, run})
}

// Serve runs the server and the background work until ctx ends, lets both
// finish what they have begun, and closes the connections.
func (m *Mesh) Serve(ctx context.Context, handler http.Handler) error {
	defer m.Close()
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range m.background {
		group.Go(func() error {
			if err := w.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		return httpserver.Serve(ctx, m.server(m.Health), handler)
	})
	return group.Wait()
}

func (m *Mesh) server(health *httpserver.Health) httpserver.Config {
	return httpserver.Config{
		Name: m.Name, Address: m.common.ListenAddress, TLSCertFile: m.common.TLSCertFile, TLSKeyFile: m.common.TLSKeyFile,
		InsecurePlainHTTP: m.common.InsecurePlainHTTP, ShutdownTimeout: m.common.ShutdownTimeout,
		Health: health, Logger: m.Logger, Ready: m.common.Ready,
	}
}

// Close ends the connections of a mesh that does not come to Serve.
func (m *Mesh) Close() {
	if m.Verifier != nil {
		m.Verifier.Close()
	}
	if m.Conn != nil {
		m.Conn.Close()
	}
	if m.Pool != nil {
		m.Pool.Close()
	}
}
