package mailbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	tracerName      = "github.com/shadowless/shadowless/pkg/identity/mailbox"
	rollbackTimeout = 2 * time.Second
)

// process handles one message to its end: acknowledged, to be redelivered, or
// dead. It is not cut short when run ends, since half a message is worth
// nothing. It reports whether the message was applied.
func (c *Consumer) process(run context.Context, d delivery, t terms) bool {
	ctx := context.WithoutCancel(run)
	tx, deadline, err := c.begin(run, ctx, []delivery{d}, t)
	if err != nil {
		// Not the message's fault.
		c.settle(ctx, d.raw.NakWithDelay(c.config.Backoff[0]))
		return false
	}
	// The commit, too, must be over before the server redelivers.
	working, cancel := context.WithDeadline(ctx, deadline.Add(-t.ackWait/5))
	err = c.apply(working, tx, d)
	cancel()
	if err == nil {
		c.acknowledge(ctx, []delivery{d}, t)
		return true
	}
	cause := reason(err)
	logger := c.config.Logger.With("message_id", d.ID, "sequence", d.meta.Sequence.Stream, "attempt", d.meta.NumDelivered, "cause", cause)
	switch {
	case errors.Is(err, ErrPoison):
		logger.ErrorContext(ctx, "message is poison and was terminated")
		c.settle(ctx, d.raw.TermWithReason(cause))
	case t.maxDeliver > 0 && d.meta.NumDelivered >= t.maxDeliver:
		// Terminated rather than left to run out: a dead letter without a cause helps nobody.
		logger.ErrorContext(ctx, "message failed for the last time and was terminated")
		c.settle(ctx, d.raw.TermWithReason(fmt.Sprintf("gave up after %d attempts: %s", d.meta.NumDelivered, cause)))
	default:
		logger.WarnContext(ctx, "message failed and will be redelivered")
		// A bare Nak would come back at once and burn every attempt in milliseconds.
		c.settle(ctx, d.raw.NakWithDelay(c.delay(d.meta.NumDelivered)))
	}
	return false
}

// begin opens the transaction of a batch and returns the time by which its
// messages must be settled. While PostgreSQL is down it holds on to them: an
// outage of an hour must not use up the attempts of whatever happened to be
// first in the stream.
func (c *Consumer) begin(run, ctx context.Context, batch []delivery, t terms) (pgx.Tx, time.Time, error) {
	var wait backoff
	for {
		// Also restarts the server's clock, which ran while the messages lay in the buffer.
		for _, d := range batch {
			if err := d.raw.InProgress(); err != nil {
				return nil, time.Time{}, fmt.Errorf("tell the server that work goes on: %w", err)
			}
		}
		deadline := time.Now().Add(t.ackWait)
		beginning, cancel := context.WithTimeout(ctx, t.ackWait/4)
		tx, err := c.pool.BeginTx(beginning, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
		cancel()
		if err == nil {
			return tx, deadline, nil
		}
		if run.Err() != nil {
			return nil, time.Time{}, fmt.Errorf("begin: %w", err)
		}
		c.config.Logger.WarnContext(ctx, "database unreachable, holding the messages", "messages", len(batch), "cause", reason(err))
		sleep(run, min(wait.next(), t.ackWait/4))
	}
}

// apply writes the inbox row, runs the handler and commits. A message whose
// inbox row exists was applied before and is done.
func (c *Consumer) apply(ctx context.Context, tx pgx.Tx, d delivery) error {
	defer c.rollback(ctx, tx)
	// If another replica works on the same message, this waits for its end.
	tag, err := tx.Exec(ctx, `INSERT INTO mailbox_inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		c.config.Durable, d.ID)
	if err != nil {
		return fmt.Errorf("write inbox: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	if err := c.traced(ctx, tx, d); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if c.config.OnCommit != nil {
		c.config.OnCommit()
	}
	return nil
}

// rollback does nothing after a commit but give the connection back.
func (c *Consumer) rollback(ctx context.Context, tx pgx.Tx) {
	rolling, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(rolling)
}

// traced runs the handler as part of the trace that the message belongs to.
func (c *Consumer) traced(ctx context.Context, tx pgx.Tx, d delivery) error {
	ctx = traceContext.Extract(ctx, propagation.MapCarrier(d.Header))
	ctx, span := otel.Tracer(tracerName).Start(ctx, "process "+c.config.Stream, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("messaging.system", "nats"),
			attribute.String("messaging.destination.name", c.config.Stream),
			attribute.String("messaging.consumer.group.name", c.config.Durable)))
	defer span.End()
	err := c.handle(ctx, tx, d.Message)
	if err != nil {
		span.SetStatus(codes.Error, "message not applied")
	}
	return err
}

func (c *Consumer) handle(ctx context.Context, tx pgx.Tx, m Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.config.Logger.ErrorContext(ctx, "handler panicked", "stack", string(debug.Stack()))
			err = errors.New("handler panicked")
		}
	}()
	return c.config.Handler(ctx, tx, m)
}

// settle logs an acknowledgment that did not get through. The message comes
// again, and its inbox row or its cause is still there.
func (c *Consumer) settle(ctx context.Context, err error) {
	if err != nil {
		c.config.Logger.WarnContext(ctx, "acknowledgment failed, the message will come again", "cause", reason(err))
	}
}

func (c *Consumer) delay(attempt uint64) time.Duration {
	return c.config.Backoff[min(max(attempt, 1), uint64(len(c.config.Backoff)))-1]
}

// received turns a JetStream message into ours. A message that was published
// without an ID is known by its place in the stream.
func received(raw jetstream.Msg, meta *jetstream.MsgMetadata) Message {
	m := Message{Subject: raw.Subject(), Payload: raw.Data(), Header: map[string]string{}}
	for name, values := range raw.Headers() {
		if len(values) > 0 && !strings.HasPrefix(strings.ToLower(name), "nats-") {
			m.Header[name] = values[0]
		}
	}
	m.ID = raw.Headers().Get(jetstream.MsgIDHeader)
	if m.ID == "" {
		m.ID = meta.Stream + ":" + strconv.FormatUint(meta.Sequence.Stream, 10)
	}
	return m
}
