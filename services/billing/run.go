// Package billing makes an invoice for each order, takes payments and gives
// refunds, and keeps the books. It knows customers by the identity provider's
// user ID and by nothing else.
package billing

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
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/billing/domain"
	"github.com/shadowless/shadowless/services/billing/internal/store"
	"github.com/shadowless/shadowless/services/billing/orderevents"
	"github.com/shadowless/shadowless/services/billing/statements"
	"github.com/shadowless/shadowless/services/billing/transport"
)

// Name of the service: its audience, client ID, NATS user and participant.
const Name = "billing"

// Prefix of its own environment variables.
const Prefix = "BILLING_"

// Run serves billing until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: store.Migrations(), Logger: log,
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
	erasures, err := answerErasures(m, cfg, publisher)
	if err != nil {
		return nil, err
	}
	invoices := store.New(m.Pool, erasures.Tombstones(), publisher.Wake)
	events, err := orderevents.NewConsumer(m.JetStream, m.Pool, invoices, time.Now, publisher.Wake, m.Logger)
	if err != nil {
		return nil, fmt.Errorf("consume orders' events: %w", err)
	}
	m.Go("outbox", publisher.Run)
	m.Go("erasures", erasures.Run)
	m.Go("orders' events", events.Run)
	m.Go("statements", func(ctx context.Context) error {
		return statements.New(invoices, time.Now, m.Logger).Run(ctx, cfg.StatementsInterval)
	})
	m.Go("idempotency keys", func(ctx context.Context) error {
		return idempotency.Prune(ctx, m.Pool, func(err error) { m.Logger.WarnContext(ctx, "pruning failed", "error", err) })
	})

	mux := access.NewMux(cfg.Access(), m.Verifier)
	transport.Register(mux, domain.NewService(invoices, DeciderOf(cfg, m.HTTPClient), time.Now))
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

// DeciderOf is who decides refunds by the configuration.
func DeciderOf(cfg Config, client *http.Client) domain.Decider {
	if cfg.RefundDecider == DeciderLocal {
		return domain.Limited(cfg.RefundLimitMinor)
	}
	return domain.Asking(authn.NewAutherAsker(cfg.CheckPermissionURL, authn.AutherAskerOptions{HTTPClient: client}))
}
