// Package billing is the billing service with a table of users: the domain and
// the HTTP interface of services/billing on another store.
package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/compare/billing/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/billing/domain"
	"github.com/shadowless/shadowless/services/billing/orderevents"
	"github.com/shadowless/shadowless/services/billing/statements"
	"github.com/shadowless/shadowless/services/billing/transport"
)

// Name of the service: its audience, client ID and NATS user.
const Name = billing.Name

// Access is who may call what.
func (c Config) Access() access.Table { return users.Access(c.Config.Access()) }

// Run serves billing until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: store.Migrations(cfg.OneDatabase), Logger: log, SkipRevocations: true,
	})
	if err != nil {
		return fmt.Errorf("open the mesh: %w", err)
	}
	handler, err := wire(m, cfg)
	if err != nil {
		return err
	}
	return m.Serve(ctx, handler)
}

func wire(m *mesh.Mesh, cfg Config) (http.Handler, error) {
	publisher := mailbox.NewPublisher(m.Pool, m.JetStream, mailbox.PublisherOptions{Logger: m.Logger})
	table, hook, err := users.Open(m, cfg.Users, cfg.TombstoneKeyFile)
	if err != nil {
		return nil, err
	}
	kept := store.New(m.Pool, table, publisher.Wake)
	events, err := orderevents.NewConsumer(m.JetStream, m.Pool, kept, time.Now, publisher.Wake, m.Logger)
	if err != nil {
		return nil, fmt.Errorf("consume orders' events: %w", err)
	}
	m.Go("outbox", publisher.Run)
	m.Go("orders' events", events.Run)
	m.Go("statements", func(ctx context.Context) error {
		return statements.New(kept, time.Now, m.Logger).Run(ctx, cfg.StatementsInterval)
	})
	m.Go("idempotency keys", func(ctx context.Context) error {
		return idempotency.Prune(ctx, m.Pool, func(err error) { m.Logger.WarnContext(ctx, "pruning failed", "error", err) })
	})

	mux := access.NewMux(cfg.Access(), m.Verifier)
	mux.OnAdmit(func(ctx context.Context, p *authn.Principal) error {
		err := table.Provision(ctx, p)
		if errors.Is(err, users.ErrDeleted) {
			return domain.ErrUserErased.Because(err)
		}
		return err
	})
	transport.Register(mux, domain.NewService(kept, billing.DeciderOf(cfg.Config, m.HTTPClient), time.Now))
	mux.Handle(users.Pattern, hook)
	return mux.Handler()
}
