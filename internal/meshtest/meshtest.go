// Package meshtest gives the tests of a service the mesh around it: NATS with
// every declared stream, an identity provider, a token endpoint, and a database;
// and runs the real service in it.
package meshtest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

const (
	// Within is how long to wait for what must happen.
	Within = 20 * time.Second
	// Every is how often to look.
	Every = 20 * time.Millisecond

	relayBeat = 500 * time.Millisecond
)

// Mesh is what surrounds the services of one test.
type Mesh struct {
	Broker   *identitytest.Broker
	IdP      *authntest.Issuer // promised: its tokens are accepted directly
	Exchange *Exchange

	t   testing.TB
	dir string
}

// New starts it; all of it ends with the test.
func New(t testing.TB) *Mesh {
	t.Helper()
	m := &Mesh{
		Broker: identitytest.NATS(t), IdP: authntest.NewIssuer(t, authntest.WithAlgorithm("RS256")),
		Exchange: newExchange(t), t: t, dir: t.TempDir(),
	}
	require.NoError(t, streams.Apply(t.Context(), m.Broker.JetStream, 1))
	m.beat()
	exchange := m.Exchange.issuer.Config("shadowless")
	exchange.UsersOf = m.IdP.Name()
	raw, err := yaml.Marshal(map[string]any{
		"issuers":      []any{issuerYAML(m.IdP.Config("auther")), issuerYAML(exchange)},
		"entity_types": map[string]string{"order": "client_shop:order", "invoice": "client_shop:invoice"},
	})
	require.NoError(t, err)
	m.file("authn.yaml", string(raw))
	m.file("tombstones", participant.NewTombstoneKey("k1"))
	return m
}

func issuerYAML(c authn.IssuerConfig) map[string]any {
	out := map[string]any{"issuer": c.Issuer, "profile": c.Profile, "jwks_urls": c.JWKSURLs, "algorithms": c.Algorithms}
	if c.UsersOf != "" {
		out["users_of"] = c.UsersOf
	}
	return out
}

// beat stands in for identity-relay's heartbeat.
func (m *Mesh) beat() {
	kv, err := m.Broker.JetStream.KeyValue(m.t.Context(), streams.Revocations)
	require.NoError(m.t, err)
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(relayBeat)
		defer ticker.Stop()
		for m.t.Context().Err() == nil {
			_ = revocation.Beat(m.t.Context(), kv, "relay") // the broker may be down on purpose
			select {
			case <-m.t.Context().Done():
			case <-ticker.C:
			}
		}
	})
	m.t.Cleanup(done.Wait)
}

// Revoke writes revocations, as identity-relay would.
func (m *Mesh) Revoke(r ...authn.Revocation) {
	m.t.Helper()
	kv, err := m.Broker.JetStream.KeyValue(m.t.Context(), streams.Revocations)
	require.NoError(m.t, err)
	require.NoError(m.t, revocation.Put(m.t.Context(), kv, r...))
}

func (m *Mesh) file(name, content string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Backends makes a service's database and files. The same value starts the same
// service again, with its data.
func (m *Mesh) Backends(name string, sets ...migrate.Set) (config.Backends, *identitytest.Database) {
	m.t.Helper()
	db := identitytest.Postgres(m.t, sets...)
	return config.Backends{
		AuthnConfigFile:  filepath.Join(m.dir, "authn.yaml"),
		NATSURL:          m.Broker.URL,
		DatabaseURLFile:  m.file(name+".database", db.URL+"\n"),
		TokenExchangeURL: m.Exchange.URL(),
		APIKeyFile:       m.file(name+".key", SecretOf(name)+"\n"),
		TombstoneKeyFile: filepath.Join(m.dir, "tombstones"),
	}, db
}

// Service is a running one.
type Service struct {
	URL  string
	t    testing.TB
	stop context.CancelFunc
	done chan error
	once sync.Once
}

// Start runs a service and waits until it is ready. run gets the common
// configuration and a logger whose lines are checked for tokens at the end.
func (m *Mesh) Start(run func(context.Context, config.Common, *slog.Logger) error) *Service {
	m.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	bound := make(chan string, 1)
	s := &Service{t: m.t, stop: stop, done: make(chan error, 1)}
	log := &logged{}
	common := config.Common{
		Environment: config.Development, ListenAddress: "127.0.0.1:0", InsecurePlainHTTP: true,
		ShutdownTimeout: Within, Ready: func(addr string) { bound <- addr },
	}
	go func() { s.done <- run(ctx, common, slog.New(slog.NewJSONHandler(log, nil))) }()
	m.t.Cleanup(func() {
		s.Stop()
		log.check(m.t)
	})
	select {
	case addr := <-bound:
		s.URL = "http://" + addr
	case err := <-s.done:
		s.done <- err
		m.t.Fatalf("the service ended before it was ready: %v", err)
	case <-time.After(Within):
		m.t.Fatal("the service did not listen")
	}
	require.Eventually(m.t, s.ready, Within, Every, "the service did not become ready")
	return s
}

func (s *Service) ready() bool {
	resp, err := http.Get(s.URL + "/readyz") //nolint:noctx // a probe of a test
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the service in order and fails the test if it did not end well.
func (s *Service) Stop() {
	s.once.Do(func() {
		s.stop()
		select {
		case err := <-s.done:
			require.NoError(s.t, err)
		case <-time.After(Within):
			s.t.Error("the service did not stop")
		}
	})
}

// logged keeps what a service logs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.text.String(); strings.Contains(text, "eyJ") || strings.Contains(text, "Bearer ") {
		t.Error("a token was logged")
	} else if t.Failed() {
		t.Log(text)
	}
}
