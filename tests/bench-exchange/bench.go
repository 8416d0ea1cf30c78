package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const (
	benchClient = "orders"
	benchScopes = "billing:invoices:create billing:read"
)

var benchPermissions = map[string][]string{"client_shop:invoice": {"read"}}

// bench is what surrounds the measured processes.
type bench struct {
	dir      string
	postgres *localpostgres.Server
	broker   *server.Server
	key      string
	started  []*measure.Process
}

var (
	migrator = localpostgres.Role{Name: "bench_migrator", Password: "bench-migrator"}
	runtime  = localpostgres.Role{Name: "bench_runtime", Password: "bench-runtime"}
)

func newBench(ctx context.Context) (b *bench, err error) {
	b = &bench{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "bench-exchange-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // Postgres runs as another user
		return nil, err
	}
	// Durability is as installed: a benchmark without fsync would flatter the audit.
	if b.postgres, err = localpostgres.Start(ctx, localpostgres.Config{Dir: filepath.Join(b.dir, "postgres"), MaxConnections: 200}); err != nil {
		return nil, err
	}
	if err := b.startBroker(ctx); err != nil {
		return nil, err
	}
	key, err := api.GenerateKey("bench")
	if err != nil {
		return nil, err
	}
	b.key = key.Reveal()
	return b, nil
}

func (b *bench) startBroker(ctx context.Context) (err error) {
	b.broker, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: filepath.Join(b.dir, "nats"), NoSigs: true, NoLog: true})
	if err != nil {
		return fmt.Errorf("make NATS: %w", err)
	}
	b.broker.Start()
	if !b.broker.ReadyForConnections(10 * time.Second) {
		return errors.New("NATS did not come up")
	}
	conn, err := nats.Connect(b.broker.ClientURL())
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return streams.Apply(ctx, js, 1)
}

// database of one measured process.
func (b *bench) database(ctx context.Context, name string) (runtimeURL, migratorURL string, err error) {
	if err := localpostgres.Provision(ctx, b.postgres.AdminURL(), localpostgres.Database{Name: name, Migrator: migrator, Runtime: runtime}); err != nil {
		return "", "", err
	}
	return b.postgres.URL(name, runtime.Name, runtime.Password), b.postgres.URL(name, migrator.Name, migrator.Password), nil
}

// floorTable is the one that the SELECT floor asks.
func (b *bench) floorTable(ctx context.Context, migratorURL string) error {
	key, err := api.ParseKey(b.key)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, migratorURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	if _, err := conn.Exec(ctx, "CREATE TABLE floor_keys (id text PRIMARY KEY, hash bytea NOT NULL, client_id text NOT NULL)"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "INSERT INTO floor_keys VALUES ($1, $2, $3)", key.ID(), floorHash(b.key), benchClient)
	return err
}

// startProcess runs this program in a mode until the bench is closed, and waits
// until ready answers.
func (b *bench) startProcess(ctx context.Context, mode, ready string, environ ...string) (*measure.Process, error) {
	p, err := measure.Start(filepath.Join(b.dir, mode+strconv.Itoa(len(b.started))+".log"), []string{mode},
		append([]string{"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true"}, environ...))
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	if err := p.Ready(ctx, ready); err != nil {
		return nil, fmt.Errorf("%s: %w", mode, err)
	}
	return p, nil
}

func (b *bench) file(name, content string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}

func (b *bench) close() {
	for _, p := range b.started {
		p.Stop()
	}
	if b.broker != nil {
		b.broker.Shutdown()
		b.broker.WaitForShutdown()
	}
	if b.postgres != nil {
		if err := b.postgres.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench-exchange:", err)
		}
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // it is temporary
	}
}

// freeAddress is one that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// keySet answers in the identity provider's place: nobody's tokens are exchanged
// here, but a service waits for its issuers' keys.
func keySet(public any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{public}})
	})
}
