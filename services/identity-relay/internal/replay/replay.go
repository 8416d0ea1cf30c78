// Package replay publishes events of the log again: for a stream that was lost,
// a consumer that was restored from a backup, or a message that died.
package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
)

// Range selects events. Zero values select all.
type Range struct {
	// After is a version; Since is when an event was recorded at the earliest.
	After int64
	Since time.Time
	Type  string
	// ID selects one event alone.
	ID    uuid.UUID
	Limit int
}

// Result of one batch.
type Result struct {
	// Replayed events are in the outbox again, or were there still.
	Replayed int
	// Erased events are not told again: their users were erased.
	Erased int
	// Last is the version of the last event that was looked at, More whether
	// others may follow it.
	Last int64
	More bool
}

// Batch puts up to Limit events into the outbox, oldest first, each under its
// own ID: who has applied it drops it by inbox. The caller commits.
//
// The stream may hold an event twice then, and both messages must be found when
// its user is erased: where the first one is kept in event_copies, and an event
// without a place keeps an erasure from being sealed until it is published.
func Batch(ctx context.Context, tx pgx.Tx, r Range) (Result, error) {
	chosen, err := choose(ctx, tx, r)
	if err != nil {
		return Result{}, err
	}
	result := Result{More: len(chosen) == r.Limit}
	if len(chosen) == 0 {
		return result, nil
	}
	result.Last = chosen[len(chosen)-1].Version
	ids := make([]uuid.UUID, 0, len(chosen))
	var users []string
	for _, e := range chosen {
		ids = append(ids, e.ID)
		if e.UserID != "" {
			users = append(users, e.UserID)
		}
	}
	// An erasure takes the same locks one by one; in one order nobody waits in a circle.
	slices.Sort(users)
	for _, userID := range slices.Compact(users) {
		if err := erasures.LockUser(ctx, tx, userID, false); err != nil {
			return Result{}, err
		}
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM events WHERE `+told, ids, ofErased).Scan(&result.Replayed); err != nil {
		return Result{}, fmt.Errorf("count events: %w", err)
	}
	result.Erased = len(chosen) - result.Replayed
	alive, err := lock(ctx, tx, ids)
	if err != nil {
		return Result{}, err
	}
	messages := make([]mailbox.Message, len(alive))
	ids = ids[:0]
	for i, e := range alive {
		id, err := uuid.Parse(e.ID)
		if err != nil {
			return Result{}, fmt.Errorf("read an event ID: %w", err)
		}
		ids = append(ids, id)
		if messages[i], err = message(e); err != nil {
			return Result{}, err
		}
	}
	for _, statement := range []string{
		`INSERT INTO event_copies (event_id, stream_sequence) SELECT id, stream_sequence FROM events
			WHERE id = ANY($1) AND stream_sequence IS NOT NULL ON CONFLICT DO NOTHING`,
		`UPDATE events SET stream_sequence = NULL, replayed_at = now() WHERE id = ANY($1)`,
	} {
		if _, err := tx.Exec(ctx, statement, ids); err != nil {
			return Result{}, fmt.Errorf("note the replay: %w", err)
		}
	}
	if err := mailbox.Enqueue(ctx, tx, messages...); err != nil {
		return Result{}, fmt.Errorf("enqueue events again: %w", err)
	}
	return result, nil
}

type place struct {
	Version int64
	ID      uuid.UUID
	UserID  string
}

func choose(ctx context.Context, tx pgx.Tx, r Range) ([]place, error) {
	var since *time.Time
	if !r.Since.IsZero() {
		since = &r.Since
	}
	var id *uuid.UUID
	if r.ID != uuid.Nil {
		id = &r.ID
	}
	rows, err := tx.Query(ctx, `SELECT version, id, coalesce(user_id, '') FROM events
		WHERE version > $1 AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND ($3 = '' OR type = $3) AND ($4::uuid IS NULL OR id = $4)
		ORDER BY version LIMIT $5`, r.After, since, r.Type, id, r.Limit)
	if err != nil {
		return nil, fmt.Errorf("choose events: %w", err)
	}
	chosen, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil {
		return nil, fmt.Errorf("choose events: %w", err)
	}
	return chosen, nil
}

// told are events that may be told again: not those of erased users, but for the two
// types that are about erased users and do not name them.
const told = `id = ANY($1) AND (coalesce(user_id, '') NOT LIKE 'erased:%' OR type = ANY($2)) AND removed_at IS NULL`

var ofErased = []string{identity.TypeErasureHeld, identity.TypeErasureReleased}

// lock reads the events once more, now that no erasure can begin with them. It
// leaves out those of erased users, and those that are in the outbox already: the
// publisher holds a message's row there when it wants the event's, and this would
// want the message's when it holds the event's.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]identity.Event, error) {
	rows, err := tx.Query(ctx, `SELECT version, id, type, coalesce(user_id, ''), coalesce(session_id, ''), coalesce(erasure_id::text, ''),
		data, occurred_at FROM events WHERE `+told+` AND stream_sequence IS NOT NULL ORDER BY version FOR UPDATE`, ids, ofErased)
	if err != nil {
		return nil, fmt.Errorf("lock events: %w", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (identity.Event, error) {
		e := identity.Event{Source: eventlog.Source}
		var version int64
		var id uuid.UUID
		err := row.Scan(&version, &id, &e.Type, &e.UserID, &e.SessionID, &e.ErasureID, &e.Data, &e.Time)
		e.ID, e.Version = id.String(), uint64(version) //nolint:gosec // versions count from 1
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("lock events: %w", err)
	}
	return events, nil
}

func message(e identity.Event) (mailbox.Message, error) {
	payload, err := identity.Encode(e)
	if err != nil {
		return mailbox.Message{}, fmt.Errorf("encode event: %w", err)
	}
	return mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: payload}, nil
}
