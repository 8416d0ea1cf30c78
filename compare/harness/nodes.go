package harness

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

//go:embed migrations
var migrations embed.FS

// node is a service of which the curves have as many as they need: a database
// with one table of users' rows, and what its archetype does when a user goes.
type node struct {
	name string
	pool *pgxpool.Pool
	url  string // where the shadow archetype's takes webhooks
	stop func() error
}

// nodes of both archetypes, all in this process.
type nodes struct {
	w                 *world
	shadow, federated []*node
}

func (w *world) openNodes() *nodes { return &nodes{w: w} }

// grow adds services until there are n of each archetype, and tells the relay
// whose answers it must have.
func (s *nodes) grow(ctx context.Context, n int) error {
	for len(s.shadow) < n {
		i := len(s.shadow) + 1
		shadow, err := s.openShadow(ctx, fmt.Sprintf("compare_shadow_node_%d", i))
		if err != nil {
			return err
		}
		s.shadow = append(s.shadow, shadow)
		federated, err := s.openFederated(ctx, fmt.Sprintf("compare_node_%d", i))
		if err != nil {
			return err
		}
		s.federated = append(s.federated, federated)
	}
	registry := make([]string, n)
	for i, f := range s.federated {
		registry[i] = f.name + "=" + s.w.urls[devstack.Orders] // reached at reconciliation alone
	}
	environ, err := s.w.relayEnviron("IDENTITY_RELAY_PARTICIPANTS=" + strings.Join(registry, ","))
	if err != nil {
		return err
	}
	return s.w.restart(ctx, devstack.IdentityRelay, environ)
}

// close ends all of them and has the relay ask orders and billing again.
func (s *nodes) close(ctx context.Context) error {
	var faults []error
	for _, n := range append(s.shadow, s.federated...) {
		faults = append(faults, n.stop())
		n.pool.Close()
	}
	environ, err := s.w.relayEnviron()
	if err == nil {
		err = s.w.restart(ctx, devstack.IdentityRelay, environ)
	}
	return errors.Join(append(faults, err)...)
}

func (s *nodes) database(ctx context.Context, name string, sets ...migrate.Set) (*pgxpool.Pool, error) {
	if err := s.w.provision(ctx, name); err != nil {
		return nil, err
	}
	owner, err := config.ReadSecretFile(s.w.file(name + "_migrator.url"))
	if err != nil {
		return nil, err
	}
	if err := migrate.Up(ctx, owner, sets...); err != nil {
		return nil, err
	}
	runtime, err := config.ReadSecretFile(s.w.file(name + "_runtime.url"))
	if err != nil {
		return nil, err
	}
	return pgxpool.New(ctx, runtime)
}

func (s *nodes) openShadow(ctx context.Context, name string) (*node, error) {
	pool, err := s.database(ctx, name, users.Migrations(migrate.Set{Name: "things", FS: migrations, Dir: "migrations/shadow"})...)
	if err != nil {
		return nil, err
	}
	tombstones, err := participant.LoadTombstones(s.w.running.SecretFile("tombstone-" + devstack.Orders))
	if err != nil {
		return nil, err
	}
	hook := &users.Webhook{
		Table: users.NewTable(pool, users.Options{Tombstones: tombstones}), SecretsFile: s.w.running.SecretFile("idp-webhook"),
		MaxAge: time.Hour, Now: time.Now, Log: s.w.Log,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the server
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(users.Pattern, hook)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return &node{name: name, pool: pool, url: "http://" + listener.Addr().String(), stop: func() error {
		err := server.Close()
		if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	}}, nil
}

func (s *nodes) openFederated(ctx context.Context, database string) (*node, error) {
	pool, err := s.database(ctx, database,
		migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"}, migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		migrate.Set{Name: "things", FS: migrations, Dir: "migrations/federated"})
	if err != nil {
		return nil, err
	}
	raw, err := migrations.ReadFile("migrations/federated/manifest.yaml")
	if err != nil {
		return nil, err
	}
	manifest, err := participant.ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	name := strings.ReplaceAll(database, "_", "-")
	_, err = s.w.js.CreateOrUpdateConsumer(ctx, streams.Identity, jetstream.ConsumerConfig{
		Durable: name + "-erasures", FilterSubject: "identity.v1.erasure.>", AckPolicy: jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverNewPolicy, AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: 256,
	})
	if err != nil {
		return nil, fmt.Errorf("make the consumer of %s: %w", name, err)
	}
	p, err := participant.New(participant.Config{
		Name: name, Manifest: manifest, Pool: pool, JetStream: s.w.js,
		TombstoneKeyFile: s.w.running.SecretFile("tombstone-" + devstack.Orders), Logger: s.w.Log,
	})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	return &node{name: name, pool: pool, stop: func() error {
		cancel()
		return <-ended
	}}, nil
}

// give each node n rows of a user; the shadow archetype's user first.
func (s *nodes) give(ctx context.Context, nodes []*node, userID string, rows int, mirrored bool) error {
	for _, n := range nodes {
		if mirrored {
			if _, err := n.pool.Exec(ctx, `INSERT INTO users (id, name, email, avatar_url, banned, updated_at) VALUES ($1, '', '', '', false, 'epoch')`, userID); err != nil {
				return fmt.Errorf("mirror a user: %w", err)
			}
		}
		_, err := n.pool.Exec(ctx, `INSERT INTO things (user_id, body) SELECT $1, repeat('x', 100) FROM generate_series(1, $2::int)`, userID, rows)
		if err != nil {
			return fmt.Errorf("give a user rows: %w", err)
		}
	}
	return nil
}
