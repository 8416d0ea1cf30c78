package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullExpiry and pullHeartbeat keep a leader change short: with the
	// library's defaults a consumer was once silent for 28 s after one.
	pullExpiry    = 3 * time.Second
	pullHeartbeat = time.Second
	// bindTimeout bounds the look-up of the durable.
	bindTimeout = 5 * time.Second
	// drainTimeout bounds how long a stop waits for fetched messages when NATS is
	// gone, and how long it goes on with those that are fetched and not begun.
	drainTimeout = 2 * time.Second
	// pruneInterval is how often old inbox rows are removed.
	pruneInterval = time.Hour
	// defaultAckWait is the server's, for a durable that does not say.
	defaultAckWait = 30 * time.Second
	// minBuffer is the least number of messages that are fetched ahead.
	minBuffer = 16
	// defaultBatchSize is where a larger batch gains little: measured 312 messages
	// a second one by one and 5,700 in batches of 100, by one worker.
	defaultBatchSize = 100
)

// HandlerFunc applies one message in tx, which is READ COMMITTED and may hold
// the work of other messages of the same batch. Its context ends before the
// server would redeliver the message. Returning nil lets it be committed; an
// error rolls back and the message comes again after a delay; an error made by
// [Poison] rolls back and the message is never delivered again. A handler may
// run again for a message whose batch was rolled back, so it changes nothing
// outside tx. Messages may arrive in any order, so what they carry is guarded by
// version: by the row that it changes, or by a [Guard].
type HandlerFunc func(ctx context.Context, tx pgx.Tx, m Message) error

// ConsumerConfig says which durable consumer to serve and how. Stream, Durable
// and Handler are required.
type ConsumerConfig struct {
	// Stream and Durable name an existing durable pull consumer with explicit acknowledgment.
	Stream, Durable string
	// Handler applies a message.
	Handler HandlerFunc
	// OnCommit, if set, runs after each commit in which a message was applied; a
	// handler that enqueues passes the publisher's Wake.
	OnCommit func()
	// BatchSize is how many messages share a transaction at most; what waits is
	// taken, nothing waits to fill a batch. If one of them fails, all are applied
	// again one by one, so that it fails alone. Default 100; 1 gives each message
	// a transaction of its own.
	BatchSize int
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
	// Workers is how many batches are handled at once. Default 1, which keeps
	// the stream's order as long as nothing fails.
	Workers int
	// OrderBy says which messages stay in order when there are several Workers:
	// those with the same key go to the same one. Default: the subject.
	OrderBy func(Message) string
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
	if config.BatchSize <= 0 {
		config.BatchSize = defaultBatchSize
	}
	if config.Workers <= 0 {
		config.Workers = 1
	}
	if config.OrderBy == nil {
		config.OrderBy = func(m Message) string { return m.Subject }
	}
	if config.InboxRetention <= 0 {
		config.InboxRetention = 30 * 24 * time.Hour
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	config.Logger = config.Logger.With("consumer", config.Durable, "stream", config.Stream)
	return &Consumer{js: js, pool: pool, config: config}, nil
}

// Run applies messages until ctx ends, finishes what it has fetched and returns
// nil. It outlives outages of PostgreSQL and NATS, and waits for a durable that
// is not declared yet.
func (c *Consumer) Run(ctx context.Context) error {
	var pruning sync.WaitGroup
	pruning.Go(func() { c.prune(ctx) })
	defer pruning.Wait()
	var wait backoff
	for ctx.Err() == nil {
		err := c.serve(ctx, &wait)
		if ctx.Err() != nil {
			return nil
		}
		c.config.Logger.WarnContext(ctx, "consumer lost its messages, will bind again", "cause", reason(err))
		sleep(ctx, wait.next())
	}
	return nil
}

// serve binds to the durable and handles messages until ctx ends or the
// messages stop coming.
func (c *Consumer) serve(ctx context.Context, wait *backoff) error {
	binding, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	durable, err := c.js.Consumer(binding, c.config.Stream, c.config.Durable)
	if err != nil {
		return fmt.Errorf("bind to the durable: %w", err)
	}
	declared := durable.CachedInfo().Config
	if declared.AckPolicy != jetstream.AckExplicitPolicy {
		return errors.New("the durable does not acknowledge explicitly")
	}
	terms := c.terms(declared)
	messages, err := durable.Messages(
		jetstream.PullMaxMessages(max(minBuffer, c.config.BatchSize*c.config.Workers)),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	lanes := c.openLanes(ctx, terms)
	defer lanes.close()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err == nil {
			wait.reset()
			lanes.put(msg)
			continue
		}
		if ctx.Err() == nil {
			messages.Stop()
			return fmt.Errorf("next message: %w", err)
		}
		// What was fetched is ours: dropped, it would be delivered again only after AckWait.
		messages.Drain()
		draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		for {
			msg, err := messages.Next(jetstream.NextContext(draining))
			if err != nil {
				return nil
			}
			lanes.put(msg)
		}
	}
}
