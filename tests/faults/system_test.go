package faults_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// What is declared otherwise than in production, and why.
const (
	// What a killed consumer had fetched comes again after this time; production
	// waits 30 s.
	ackWait = 2 * time.Second
	// JetStream forgets a message's ID at once, so that inboxes have to remove
	// duplicates; production's window is 2 min.
	duplicateWindow = 100 * time.Millisecond
)

// settings are the services' own, chosen so that a case is over in seconds.
var settings = map[string][]string{
	devstack.DevIDP:        {"DEV_IDP_WEBHOOK_RETRIES=" + strings.Repeat("250ms,", 8) + strings.Repeat("1s,", 20) + "30m"},
	devstack.IdentityRelay: {"IDENTITY_RELAY_ERASURES_PER_HOUR=100000"},
	devstack.Orders:        {"ORDERS_INVOICE_RETRY_AFTER=200ms", "ORDERS_INVOICE_RETRY_INTERVAL=200ms"},
	devstack.Console:       {"CONSOLE_SIGN_UP_BURST=100000"},
}

// services in the order in which they are started.
var services = []string{
	devstack.DevIDP, devstack.TokenExchange, devstack.IdentityRelay, devstack.Billing, devstack.Orders, devstack.Console,
}

// system is the whole system, every part of it a process of its own.
type system struct {
	stack *devstack.Stack
	dir   string
	nodes int // of NATS

	mu        sync.Mutex
	processes map[string]*process
	postgres  *localpostgres.Server // once it was restarted

	conn *nats.Conn
	js   jetstream.JetStream // the operator's

	tombstones *participant.Tombstones // as the relay hashes users

	accepted map[uuid.UUID]bool // every order that was ever accepted
	admin    *browser
}

// startSystem starts everything, until owner ends. Postgres is durable: the cases
// are about what a commit is worth.
func startSystem(t, owner *testing.T, nodes int) *system {
	t.Helper()
	dir, err := os.MkdirTemp("", "shadowless-faults-")
	require.NoError(t, err)
	ports, release, err := devstack.FreePorts()
	require.NoError(t, err)
	owner.Cleanup(release)
	s := &system{dir: dir, nodes: nodes, processes: map[string]*process{}, accepted: map[uuid.UUID]bool{}}
	binary(t)
	s.stack, err = devstack.Start(context.Background(), devstack.Config{
		StateDir: dir, Ports: ports, Without: append(slices.Clone(services), devstack.NATS),
	})
	require.NoError(t, err)
	owner.Cleanup(func() { s.stop(owner) })
	s.tombstones, err = participant.LoadTombstones(s.stack.Running.SecretFile("tombstone-" + devstack.IdentityRelay))
	require.NoError(t, err)
	for _, node := range s.brokers() {
		s.launchNATS(t, node)
	}
	s.declare(t)
	for _, service := range services {
		s.launch(t, service)
	}
	for _, service := range services {
		s.ready(t, service)
	}
	s.admin = newBrowser(t, s)
	s.admin.signIn(t, "admin@example.com", "Passw0rd!admin")
	return s
}

// stop ends all processes. FAULTS_KEEP=1 leaves the logs of a test that failed.
func (s *system) stop(t *testing.T) {
	t.Helper()
	if s.conn != nil {
		s.conn.Close()
	}
	for _, name := range append(slices.Clone(services), s.brokers()...) {
		s.kill(t, name)
	}
	if s.postgres != nil {
		require.NoError(t, s.postgres.Stop())
	}
	require.NoError(t, s.stack.Stop())
	if t.Failed() && os.Getenv("FAULTS_KEEP") != "" {
		t.Logf("kept: %s", s.dir)
		return
	}
	require.NoError(t, os.RemoveAll(s.dir))
}

// brokers names the NATS processes.
func (s *system) brokers() []string {
	if s.nodes == 1 {
		return []string{devstack.NATS}
	}
	names := make([]string, s.nodes)
	for i := range names {
		names[i] = fmt.Sprintf("nats-%d", i+1)
	}
	return names
}

func (s *system) port(offset int) int { return s.stack.Running.Ports[devstack.Console] + offset }

// The block of ports has room beside the listeners: eight are taken.
func (s *system) clientPort(node int) int {
	if node == 0 {
		return s.stack.Running.Ports[devstack.NATS]
	}
	return s.port(7 + node)
}

func (s *system) clusterPort(node int) int { return s.port(10 + node) }

// launchNATS starts one server; extra are flags of program.
func (s *system) launchNATS(t *testing.T, name string, extra ...string) {
	t.Helper()
	node := slices.Index(s.brokers(), name)
	args := []string{"nats", "-state", s.dir, "-port", strconv.Itoa(s.clientPort(node))}
	if s.nodes > 1 {
		var routes []string
		for other := range s.nodes {
			if other != node {
				routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(s.clusterPort(other)))
			}
		}
		args = append(args, "-node", name, "-cluster-port", strconv.Itoa(s.clusterPort(node)), "-routes", strings.Join(routes, ","))
	}
	s.spawn(t, name, append(args, extra...), nil)
}

// natsURL names every server.
func (s *system) natsURL() string {
	urls := make([]string, s.nodes)
	for node := range urls {
		urls[node] = "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.clientPort(node)))
	}
	return strings.Join(urls, ",")
}

// declare is `shadowless streams apply`, with the times above.
func (s *system) declare(t *testing.T) {
	t.Helper()
	var err error
	s.conn, s.js, err = natsconn.Connect(natsconn.Config{
		URL: s.natsURL(), NKeySeedFile: s.stack.Running.SecretFile(streams.Operator + ".nkey"), Name: streams.Operator,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	eventually(t, "streams are declared", func(ctx context.Context) error { return streams.Apply(ctx, s.js, s.nodes) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range []string{streams.Identity, streams.Receipts, streams.Orders, streams.Billing} {
		stream, err := s.js.Stream(ctx, name)
		require.NoError(t, err)
		cfg := stream.CachedInfo().Config
		cfg.Duplicates = duplicateWindow
		_, err = s.js.UpdateStream(ctx, cfg)
		require.NoError(t, err)
	}
	for _, c := range streams.Consumers {
		durable, err := s.js.Consumer(ctx, c.Stream, c.Durable)
		require.NoError(t, err)
		cfg := durable.CachedInfo().Config
		cfg.AckWait = ackWait
		_, err = s.js.UpdateConsumer(ctx, c.Stream, cfg)
		require.NoError(t, err)
	}
}
