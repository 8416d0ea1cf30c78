package identitytest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Broker is one test's NATS server with JetStream on disk.
type Broker struct {
	Conn      *nats.Conn
	JetStream jetstream.JetStream
	URL       string

	t      testing.TB
	dir    string
	port   int
	server *server.Server
}

const readyTimeout = 10 * time.Second

// NATS starts a server on a free port of 127.0.0.1 and connects to it.
func NATS(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, dir: t.TempDir(), port: -1}
	b.Start()
	conn, err := nats.Connect(b.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	b.Conn = conn
	if b.JetStream, err = jetstream.New(conn); err != nil {
		t.Fatalf("open JetStream: %v", err)
	}
	t.Cleanup(func() {
		conn.Close()
		b.Stop()
	})
	return b
}

// Start brings the server up, after Stop on the same port with the same data.
func (b *Broker) Start() {
	b.t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: b.port, JetStream: true, StoreDir: b.dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		b.t.Fatalf("make the NATS server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(readyTimeout) {
		b.t.Fatal("the NATS server did not come up")
	}
	b.server, b.URL = srv, srv.ClientURL()
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		b.t.Fatalf("the NATS server listens on %v", srv.Addr())
	}
	b.port = addr.Port // a restart comes back where its clients look
}

// Stop ends the server; clients keep trying to reconnect.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Restart stops the server and starts it again, as a crash of NATS looks to its
// clients.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.Start()
}

// Stream declares a stream, as `shadowless streams apply` would.
func (b *Broker) Stream(cfg jetstream.StreamConfig) jetstream.Stream {
	b.t.Helper()
	s, err := b.JetStream.CreateOrUpdateStream(context.Background(), cfg)
	if err != nil {
		b.t.Fatalf("declare the stream %s: %v", cfg.Name, err)
	}
	return s
}
