package zombies

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	billingsvc "github.com/shadowless/shadowless/services/billing"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	orderssvc "github.com/shadowless/shadowless/services/orders"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

const (
	within = 30 * time.Second
	every  = 5 * time.Millisecond
	// ackWait brings a message whose acknowledgment was lost back while a test waits.
	ackWait = 2 * time.Second
	// window of JetStream's own deduplication, so short that the inbox is what counts.
	window = 100 * time.Millisecond
	tenant = "acme"
)

var names = [2]string{orders: orderssvc.Name, billing: billingsvc.Name}

// system is orders and billing, running, with the test as the relay.
type system struct {
	*meshtest.Mesh
	t        testing.TB
	dbs      [2]*identitytest.Database
	holders  [2]*pgxpool.Pool // connections that hold requests and messages back
	scanners [2]*scanner
	services [2]*meshtest.Service
	start    [2]func() *meshtest.Service
	gate     *gate
	orders   *ordersapi.Client
	billing  *billingapi.Client
	target   atomic.Value // billing's URL
	version  uint64

	// A canceled order and a paid invoice: to cancel and to pay them again
	// changes nothing and wakes the outbox.
	waker       *person
	wakeOrder   uuid.UUID
	wakeInvoice uuid.UUID
	wakeKey     string
}

func newSystem(t testing.TB) *system {
	t.Helper()
	s := &system{Mesh: meshtest.New(t), t: t}
	s.target.Store("")
	s.gate = newGate(t, func() string { url, _ := s.target.Load().(string); return url })
	s.quicken()
	var backends [2]config.Backends
	for at, name := range names {
		backends[at], s.dbs[at] = s.Backends(name)
		// The service migrates its own database, as in a small deployment.
		backends[at].MigrationDatabaseURLFile = filepath.Join(t.TempDir(), "migrator")
		require.NoError(t, os.WriteFile(backends[at].MigrationDatabaseURLFile, []byte(s.dbs[at].OwnerURL), 0o600))
	}
	s.start[orders] = func() *meshtest.Service {
		return s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
			return orderssvc.Run(ctx, orderssvc.Config{
				Common: common, Backends: backends[orders], BillingURL: s.gate.server.URL,
				InvoiceRetryAfter: 100 * time.Millisecond, InvoiceRetryInterval: 250 * time.Millisecond,
			}, log)
		})
	}
	s.start[billing] = func() *meshtest.Service {
		return s.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
			return billingsvc.Run(ctx, billingsvc.Config{
				Common: common, Backends: backends[billing], RefundDecider: billingsvc.DeciderLocal,
				RefundLimitMinor: 1 << 30, StatementsInterval: 2 * time.Second,
			}, log)
		})
	}
	s.launch(billing)
	s.launch(orders)
	for at := range names {
		s.scanners[at] = newScanner(t, s.dbs[at])
		s.holders[at] = openHolder(t, s.dbs[at].OwnerURL)
	}
	s.makeWaker()
	return s
}

// openHolder opens as many connections as a schedule can want to hold.
func openHolder(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = 2 * longestReal
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// launch starts a service, again if it was stopped.
func (s *system) launch(at int) {
	s.t.Helper()
	s.services[at] = s.start[at]()
	client := &http.Client{Timeout: within}
	var err error
	if at == orders {
		s.orders, err = ordersapi.NewClient(s.services[at].URL, client)
	} else {
		s.target.Store(s.services[at].URL)
		s.billing, err = billingapi.NewClient(s.services[at].URL, client)
	}
	require.NoError(s.t, err)
}

// quicken shortens what would make a test wait.
func (s *system) quicken() {
	s.t.Helper()
	ctx, js := context.Background(), s.Broker.JetStream
	for _, name := range []string{streams.Identity, streams.Orders, streams.Billing, streams.Receipts} {
		stream, err := js.Stream(ctx, name)
		require.NoError(s.t, err)
		cfg := stream.CachedInfo().Config
		cfg.Duplicates = window
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(s.t, err)
	}
	for _, c := range durables() {
		cfg := s.durable(c).Config
		cfg.AckWait = ackWait
		_, err := js.UpdateConsumer(ctx, c.Stream, cfg)
		require.NoError(s.t, err)
	}
}

// durables are those of orders and billing.
func durables() []streams.Consumer {
	var found []streams.Consumer
	for _, c := range streams.Consumers {
		if c.Service == names[orders] || c.Service == names[billing] {
			found = append(found, c)
		}
	}
	return found
}

func (s *system) durable(c streams.Consumer) *jetstream.ConsumerInfo {
	s.t.Helper()
	var info *jetstream.ConsumerInfo
	require.Eventually(s.t, func() bool {
		found, err := s.Broker.JetStream.Consumer(context.Background(), c.Stream, c.Durable)
		if err == nil {
			info = found.CachedInfo()
		}
		return err == nil
	}, within, every)
	return info
}

func erasuresOf(at int) string { return streams.Durable(names[at], "erasures") }

// done reports that a durable has handled everything in its stream. The number
// of pending messages lags behind a publish, the floor cannot run ahead.
func (s *system) done(c streams.Consumer) bool {
	stream, err := s.Broker.JetStream.Stream(context.Background(), c.Stream)
	return err == nil && s.durable(c).AckFloor.Stream >= stream.CachedInfo().State.LastSeq
}

func (s *system) erasuresDone(at int) bool {
	return s.done(streams.Consumer{Stream: streams.Identity, Durable: erasuresOf(at)})
}
