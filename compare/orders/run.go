// Package orders is the orders service with a table of users: the domain and the
// HTTP interface of services/orders on another store.
package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/domain"
	"github.com/shadowless/shadowless/services/orders/invoiceevents"
	"github.com/shadowless/shadowless/services/orders/invoicing"
	"github.com/shadowless/shadowless/services/orders/transport"
)

// Name of the service: its audience, client ID and NATS user.
const Name = orders.Name

// Access is who may call what.
func Access() access.Table { return users.Access(orders.Access()) }

// Run serves orders until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: store.Migrations(), Logger: log, SkipRevocations: true,
	})
	if err != nil {
		return fmt.Errorf("open the mesh: %w", err)
	}
	out, err := invoicing.Connect(invoicing.Config{
		BillingURL: cfg.BillingURL, TokenExchangeURL: cfg.TokenExchangeURL, ClientID: Name, APIKeyFile: cfg.APIKeyFile,
		HTTPClient: m.HTTPClient, Logger: m.Logger,
	})
	if err != nil {
		return err
	}
	defer out.Close()
	handler, err := wire(m, cfg, out)
	if err != nil {
		return err
	}
	return m.Serve(ctx, handler)
}

func wire(m *mesh.Mesh, cfg Config, out *invoicing.Invoicer) (http.Handler, error) {
	publisher := mailbox.NewPublisher(m.Pool, m.JetStream, mailbox.PublisherOptions{Logger: m.Logger})
	table, hook, err := users.Open(m, cfg.Users, cfg.TombstoneKeyFile)
	if err != nil {
		return nil, err
	}
	kept := store.New(m.Pool, table, publisher.Wake, cfg.InvoiceRetryAfter)
	events, err := invoiceevents.NewConsumer(m.JetStream, m.Pool, kept, time.Now, m.Logger)
	if err != nil {
		return nil, fmt.Errorf("consume billing's events: %w", err)
	}
	note := orders.Noted(m.Logger)
	worker := domain.NewWorker(kept, kept, out, note, time.Now)
	m.Go("outbox", publisher.Run)
	m.Go("billing's events", events.Run)
	m.Go("missing invoices", func(ctx context.Context) error { return worker.Run(ctx, cfg.InvoiceRetryInterval) })
	m.Go("idempotency keys", func(ctx context.Context) error {
		return idempotency.Prune(ctx, m.Pool, func(err error) { note(ctx, "pruning failed", err) })
	})

	mux := access.NewMux(Access(), m.Verifier)
	mux.OnAdmit(func(ctx context.Context, p *authn.Principal) error {
		err := table.Provision(ctx, p)
		if errors.Is(err, users.ErrDeleted) {
			return domain.ErrUserErased.Because(err)
		}
		return err
	})
	transport.Register(mux, domain.NewService(domain.Deps{
		Store: kept, Customers: kept, Invoicer: out, Note: note, Now: time.Now,
	}))
	mux.Handle(users.Pattern, hook)
	return mux.Handler()
}
