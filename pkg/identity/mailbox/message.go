package mailbox

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/propagation"
)

// Migrations holds the goose migrations of the outbox and the inbox in the
// folder "migrations". The tables carry the prefix mailbox_ and belong into the
// database of the service that uses them.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// MaxPayloadBytes is the largest payload that [Enqueue] takes, in bytes. It lies
// under the server's default limit of 1 MiB for a whole message, because a
// message that the server refuses would block every one behind it.
const MaxPayloadBytes = 512 << 10

const (
	maxHeaderBytes  = 16 << 10
	maxSubjectBytes = 255
	maxIDBytes      = 255
)

// ErrInvalidMessage is returned by [Enqueue] for a message that could never be published.
var ErrInvalidMessage = errors.New("invalid message")

// traceContext is W3C Trace Context, whatever the process-wide propagator is:
// the header is part of the contract between services.
var traceContext = propagation.TraceContext{}

// Message is what travels: on the way out in the outbox, on the way in as the
// handler sees it.
type Message struct {
	// ID deduplicates: it is the Nats-Msg-Id header and the inbox key. Enqueue
	// makes a UUIDv7 if it is empty.
	ID string
	// Subject is the NATS subject. It must not hold personal data.
	Subject string
	// Header travels as NATS headers. Names that start with "Nats-" are the server's.
	Header map[string]string
	// Payload is the body, at most MaxPayloadBytes.
	Payload []byte
}

// Enqueue writes messages into the outbox in the caller's transaction; they are
// published in the order of the calls after it commits. Call [Publisher.Wake]
// after the commit to publish at once. A message whose ID already waits in the
// outbox is not added again. The trace context of ctx travels along. It returns
// an error that wraps [ErrInvalidMessage] before touching the database.
func Enqueue(ctx context.Context, tx pgx.Tx, messages ...Message) error {
	batch := &pgx.Batch{}
	for _, m := range messages {
		if m.ID == "" {
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make a message ID: %w", err)
			}
			m.ID = id.String()
		}
		header := TraceHeader(ctx)
		maps.Copy(header, m.Header)
		m.Header = header
		if err := m.check(); err != nil {
			return err
		}
		raw, err := json.Marshal(header)
		if err != nil {
			return fmt.Errorf("encode message header: %w", err)
		}
		payload := m.Payload
		if payload == nil {
			payload = []byte{}
		}
		batch.Queue(`INSERT INTO mailbox_outbox (message_id, subject, header, payload)
			VALUES ($1, $2, $3, $4) ON CONFLICT (message_id) DO NOTHING`, m.ID, m.Subject, raw, payload)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return nil
}

// TraceHeader is the trace that ctx belongs to, for a message whose own context is
// not the one it is enqueued with: what a message's header says counts.
func TraceHeader(ctx context.Context) map[string]string {
	header := map[string]string{}
	traceContext.Inject(ctx, propagation.MapCarrier(header))
	return header
}

// check refuses what the server or the client library would refuse: a message
// that cannot be published would stop the outbox for ever.
func (m Message) check() error {
	if !printable(m.ID) || len(m.ID) > maxIDBytes {
		return fmt.Errorf("%w: ID", ErrInvalidMessage)
	}
	if len(m.Payload) > MaxPayloadBytes {
		return fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrInvalidMessage, len(m.Payload), MaxPayloadBytes)
	}
	if len(m.Subject) > maxSubjectBytes || !printable(m.Subject) || strings.HasPrefix(m.Subject, "$") {
		return fmt.Errorf("%w: subject", ErrInvalidMessage)
	}
	for token := range strings.SplitSeq(m.Subject, ".") {
		if token == "" || strings.ContainsAny(token, "*> ") {
			return fmt.Errorf("%w: subject", ErrInvalidMessage)
		}
	}
	size := 0
	for name, value := range m.Header {
		size += len(name) + len(value)
		if !printable(name) || strings.ContainsAny(name, ": ") || strings.HasPrefix(strings.ToLower(name), "nats-") ||
			strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("%w: header", ErrInvalidMessage)
		}
	}
	if size > maxHeaderBytes {
		return fmt.Errorf("%w: header of %d bytes, the limit is %d", ErrInvalidMessage, size, maxHeaderBytes)
	}
	return nil
}

func printable(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
