// Package orders takes orders and has billing invoice them. It knows customers
// by the identity provider's user ID and by nothing else.
package orders

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/orders/domain"
	"github.com/shadowless/shadowless/services/orders/internal/store"
	"github.com/shadowless/shadowless/services/orders/invoiceevents"
	"github.com/shadowless/shadowless/services/orders/invoicing"
	"github.com/shadowless/shadowless/services/orders/transport"
)

// Name of the service: its audience, client ID, NATS user and participant.
const Name = "orders"

// Prefix of its own environment variables.
const Prefix = "ORDERS_"

// Run serves orders until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: store.Migrations(), Logger: log,
	})
	if err != nil {
		return fmt.Errorf("open the mesh: %w", err)
	}
	out, err := invoicing.Connect(invoicing.Config{
		BillingURL: cfg.BillingURL, TokenExchangeURL: cfg.TokenExchangeURL, ClientID: Name, APIKeyFile: cfg.APIKeyFile,
		HTTPClient: m.HTTPClient, Logger: m.Logger, Revocations: m.Revocations,
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
	erasures, err := answerErasures(m, cfg, publisher)
	if err != nil {
		return nil, err
	}
	names, err := openDirectory(m, cfg, erasures)
	if err != nil {
		return nil, err
	}
	orders := store.New(m.Pool, erasures.Tombstones(), publisher.Wake, cfg.InvoiceRetryAfter)
	events, err := invoiceevents.NewConsumer(m.JetStream, m.Pool, orders, time.Now, m.Logger)
	if err != nil {
		return nil, fmt.Errorf("consume billing's events: %w", err)
	}
	note := Noted(m.Logger)
	worker := domain.NewWorker(orders, orders, out, note, time.Now)
	m.Go("outbox", publisher.Run)
	m.Go("erasures", erasures.Run)
	m.Go("billing's events", events.Run)
	m.Go("missing invoices", func(ctx context.Context) error { return worker.Run(ctx, cfg.InvoiceRetryInterval) })
	m.Go("idempotency keys", func(ctx context.Context) error {
		return idempotency.Prune(ctx, m.Pool, func(err error) { note(ctx, "pruning failed", err) })
	})

	mux := access.NewMux(Access(), m.Verifier)
	transport.Register(mux, domain.NewService(domain.Deps{
		Store: orders, Customers: domain.NewDirectory(orders, names, note), Invoicer: out, Note: note, Now: time.Now,
	}))
	userids.Handle(mux, erasures)
	holdings.Handle(mux, erasures)
	return mux.Handler()
}

func answerErasures(m *mesh.Mesh, cfg Config, publisher *mailbox.Publisher) (*participant.Participant, error) {
	dispositions, err := Manifest()
	if err != nil {
		return nil, err
	}
	return participant.New(participant.Config{
		Name: Name, Manifest: dispositions, Pool: m.Pool, JetStream: m.JetStream,
		TombstoneKeyFile: cfg.TombstoneKeyFile, Publisher: publisher, Logger: m.Logger,
	})
}

// Noted puts what went wrong into the line of the request that it belongs to,
// or, outside a request, into one of its own.
func Noted(log *slog.Logger) func(context.Context, string, error) {
	return func(ctx context.Context, what string, err error) {
		if !telemetry.Annotate(ctx, slog.String("note", what), slog.String("note_cause", err.Error())) {
			log.WarnContext(ctx, what, "error", err)
		}
	}
}
