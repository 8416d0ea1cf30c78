// Package eventlog is the relay's log of identity events: rows in PostgreSQL
// that are published from the outbox. A row gets its version in the transaction
// that records it, so versions are the order of commits.
package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// Source is the CloudEvents source of everything that the relay publishes. The
// row remembers beside it where the relay knew a fact from.
const Source = "/identity-relay"

// Append gives e an ID, a version and its source, stores it and puts it into the
// outbox. observedBy names the source of the fact. Call it last in a
// transaction: from here to the commit every other one waits for the version.
func Append(ctx context.Context, tx pgx.Tx, observedBy string, e identity.Event) (identity.Event, error) {
	events, err := AppendAll(ctx, tx, []Draft{NewDraft(ctx, observedBy, e)})
	if err != nil {
		return e, err
	}
	return events[0], nil
}

// Draft is an event that has no version yet.
type Draft struct {
	observedBy string
	event      identity.Event
	trace      map[string]string
}

// NewDraft remembers the trace that ctx belongs to, for the message.
func NewDraft(ctx context.Context, observedBy string, e identity.Event) Draft {
	return Draft{observedBy, e, mailbox.TraceHeader(ctx)}
}

// AppendAll is Append for several events, in their order.
func AppendAll(ctx context.Context, tx pgx.Tx, drafts []Draft) ([]identity.Event, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	events := make([]identity.Event, len(drafts))
	for i, d := range drafts {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an event ID: %w", err)
		}
		events[i] = d.event
		events[i].ID, events[i].Source = id.String(), Source
		if err := events[i].Validate(); err != nil {
			return nil, fmt.Errorf("append event: %w", err)
		}
	}
	var version uint64 // the one before the first
	if err := tx.QueryRow(ctx, `UPDATE version_counter SET value = value + $1 RETURNING value - $1`, len(events)).Scan(&version); err != nil {
		return nil, fmt.Errorf("take the next version: %w", err)
	}
	rows, messages := &pgx.Batch{}, make([]mailbox.Message, len(events))
	for i, d := range drafts {
		e := &events[i]
		version++
		e.Version = version
		payload, err := identity.Encode(*e)
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		rows.Queue(`INSERT INTO events
			(version, id, source, type, user_id, session_id, erasure_id, data, occurred_at)
			VALUES ($1, $2, $3, $4, NULLIF($5, ''), NULLIF($6, ''), NULLIF($7, '')::uuid, $8, $9)`,
			e.Version, e.ID, d.observedBy, e.Type, e.UserID, e.SessionID, e.ErasureID, nullableJSON(e.Data), e.Time)
		messages[i] = mailbox.Message{ID: e.ID, Subject: identity.Subject(*e), Header: d.trace, Payload: payload}
	}
	if err := tx.SendBatch(ctx, rows).Close(); err != nil {
		return nil, fmt.Errorf("store events: %w", err)
	}
	if err := mailbox.Enqueue(ctx, tx, messages...); err != nil {
		return nil, fmt.Errorf("enqueue events: %w", err)
	}
	return events, nil
}

// Event is one row of the log.
type Event struct {
	Version    int64
	ID         uuid.UUID
	Source     string
	Type       string
	UserID     string
	SessionID  string
	ErasureID  string
	Data       json.RawMessage
	OccurredAt time.Time
	RecordedAt time.Time
	Published  bool
}

// Filter of List. Zero values filter nothing.
type Filter struct {
	After int64     // a version
	Since time.Time // when it was recorded, at the earliest
	Type  string
	Limit int
}

// List returns events in the order of their versions.
func List(ctx context.Context, db Querier, f Filter) ([]Event, error) {
	var since *time.Time
	if !f.Since.IsZero() {
		since = &f.Since
	}
	rows, err := db.Query(ctx, `SELECT version, id, source, type, coalesce(user_id, ''), coalesce(session_id, ''),
		coalesce(erasure_id::text, ''), data, occurred_at, recorded_at, stream_sequence IS NOT NULL
		FROM events WHERE version > $1 AND ($2 = '' OR type = $2) AND ($3::timestamptz IS NULL OR recorded_at >= $3)
		ORDER BY version LIMIT $4`, f.After, f.Type, since, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return events, nil
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func nullableJSON(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return raw
}
