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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/compare/report"
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

// node is a database of services of which the curves have as many as they need:
// a table of users' rows for each service, and what its archetype does when a
// user goes.
type node struct {
	name   string
	pool   *pgxpool.Pool
	tables []string // one for each service
	url    string   // where the shadow archetype's takes webhooks
	stop   func() error
}

// nodes of both archetypes, all in this process.
type nodes struct {
	w                 *world
	shadow, federated []*node // a service each
	one               *node   // with all services
}

func (w *world) openNodes() *nodes { return &nodes{w: w} }

// of a contender.
func (s *nodes) of(c contender) []*node {
	switch {
	case c.archetype == report.Federated:
		return s.federated
	case c.label != report.OneDatabase:
		return s.shadow
	case s.one != nil:
		return []*node{s.one}
	default:
		return nil // it was not opened
	}
}

// things is the table of a node's first service, which its migration makes.
const things = "things"

// grow adds services until there are n of each contender, and tells the relay
// whose answers it must have.
func (s *nodes) grow(ctx context.Context, n int) error {
	if err := s.growOne(ctx, n); err != nil {
		return err
	}
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

// growOne adds services to the one database until there are n: a table each.
func (s *nodes) growOne(ctx context.Context, n int) (err error) {
	const name = "compare_shadow_one"
	if s.one == nil {
		if s.one, err = s.openShadow(ctx, name); err != nil {
			return err
		}
	}
	owner, err := config.ReadSecretFile(s.w.file(name + "_migrator.url"))
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return fmt.Errorf("connect to the one database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was made is committed
	for len(s.one.tables) < n {
		table := fmt.Sprintf("%s_%d", things, len(s.one.tables)+1)
		// LIKE copies all but the foreign key.
		_, err := conn.Exec(ctx, fmt.Sprintf(`CREATE TABLE %[1]s (LIKE %[2]s INCLUDING ALL);
			ALTER TABLE %[1]s ADD CONSTRAINT %[1]s_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE`, table, things))
		if err != nil {
			return fmt.Errorf("make %s: %w", table, err)
		}
		s.one.tables = append(s.one.tables, table)
	}
	return nil
}

// close ends all of them, notes what they keep of users, and has the relay ask
// orders and billing again.
func (s *nodes) close(ctx context.Context) error {
	var faults []error
	for _, c := range contenders {
		for _, n := range s.of(c) {
			kept, err := keptIn(ctx, n.pool, c.archetype)
			s.w.ofNodes[c.orders] += kept
			faults = append(faults, err, n.stop())
			n.pool.Close()
		}
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
	return &node{name: name, pool: pool, tables: []string{things}, url: "http://" + listener.Addr().String(), stop: func() error {
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
	return &node{name: name, pool: pool, tables: []string{things}, stop: func() error {
		cancel()
		return <-ended
	}}, nil
}
