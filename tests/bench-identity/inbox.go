package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// participants whose inboxes an event must reach. The services subscribe to
// erasures alone, so these are made here, of the services' parts: a database
// each, a durable each, and the consumer that every service runs.
const participants = 4

// inbox is one participant.
type inbox struct {
	name string
	pool *pgxpool.Pool
	note func(user int, at time.Time)
	stop context.CancelFunc
	done chan error
}

var benchMigrator, benchRuntime = localpostgres.Role{Name: "bench_migrator", Password: "bench-migrator"}, localpostgres.Role{Name: "bench_runtime", Password: "bench-runtime"}

// benchDatabase makes a database beside the services'.
func (s *system) benchDatabase(ctx context.Context, name string) (*pgxpool.Pool, error) {
	admin, err := config.ReadSecretFile(filepath.Join(s.running.StateDir, "secrets", "postgres-admin.url"))
	if err != nil {
		return nil, err
	}
	if err := localpostgres.Provision(ctx, admin, localpostgres.Database{Name: name, Migrator: benchMigrator, Runtime: benchRuntime}); err != nil {
		return nil, err
	}
	owner, err := localpostgres.RoleURL(admin, name, benchMigrator)
	if err != nil {
		return nil, err
	}
	if err := migrate.Up(ctx, owner, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"}); err != nil {
		return nil, err
	}
	return pgxpool.New(ctx, owner)
}

// durable is declared as the services' are.
func (s *system) durable(ctx context.Context, name string) error {
	_, err := s.js.CreateOrUpdateConsumer(ctx, streams.Identity, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: identity.SubjectPrefix + ">", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
		AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: 256,
	})
	return err
}

// openInboxes starts all participants; note is called after each commit.
func (s *system) openInboxes(ctx context.Context, note func(participant, user int, at time.Time)) (list []*inbox, err error) {
	for i := range participants {
		in := &inbox{name: fmt.Sprintf("bench-%d", i+1), done: make(chan error, 1), note: func(user int, at time.Time) { note(i, user, at) }}
		list = append(list, in)
		if in.pool, err = s.benchDatabase(ctx, fmt.Sprintf("bench_%d", i+1)); err != nil {
			return list, err
		}
		if err := s.durable(ctx, in.name); err != nil {
			return list, err
		}
		// The one worker calls the handler for each message of a batch, then the hook.
		var applying []int
		consumer, err := mailbox.NewConsumer(s.js, in.pool, mailbox.ConsumerConfig{
			Stream: streams.Identity, Durable: in.name, Logger: s.log,
			Handler: func(_ context.Context, _ pgx.Tx, m mailbox.Message) error {
				e, err := identity.Decode(m.Payload)
				if err != nil {
					return mailbox.Poison(err)
				}
				if user, ok := indexOf(e.UserID); ok {
					applying = append(applying, user)
				}
				return nil
			},
			OnCommit: func() {
				at := time.Now()
				for _, user := range applying {
					in.note(user, at)
				}
				applying = applying[:0]
			},
		})
		if err != nil {
			return list, err
		}
		running, stop := context.WithCancel(ctx)
		in.stop = stop
		go func() { in.done <- consumer.Run(running) }()
	}
	return list, nil
}

func (s *system) closeInboxes(ctx context.Context, list []*inbox) {
	for _, in := range list {
		if in.stop != nil {
			in.stop()
			if err := <-in.done; err != nil {
				progress("an inbox failed: %v", err)
			}
		}
		if in.pool != nil {
			in.pool.Close()
		}
		if err := s.js.DeleteConsumer(ctx, streams.Identity, in.name); err != nil {
			progress("a durable stays: %v", err)
		}
	}
}
