// Package erasures carries an erasure from its opening to its certificate.
//
// An erasure waits in grace (or is held, when its source asks for too many),
// is then requested of every registered participant, and is complete when all of
// them have answered with a receipt. The relay is a participant too, and answers
// last: it needs the user ID until everybody else is done.
package erasures

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Self is the relay's name in the registry.
const Self = "identity-relay"

// State of an erasure.
type State string

// States.
const (
	Held      State = "held"      // the breaker stopped it; somebody must release it
	Grace     State = "grace"     // access is blocked, data waits
	Requested State = "requested" // participants are asked
	Complete  State = "complete"  // all have answered, the certificate is written
)

// Errors of this package.
var (
	ErrNotFound = errors.New("no such erasure")
	ErrNotHeld  = errors.New("the erasure is not held")
)

// Erasure as operators see it. It never holds the user ID.
type Erasure struct {
	ID          uuid.UUID
	UserHash    []byte
	HashKeyID   string
	Source      string
	State       State
	OpenedAt    time.Time
	GraceUntil  time.Time
	RequestedAt *time.Time
	DueAt       *time.Time
	CompletedAt *time.Time
	Late        bool
	WaitingFor  []string
	Certificate json.RawMessage
}

// Answer is what one participant said, or has yet to say.
type Answer struct {
	Participant string
	AnsweredAt  *time.Time
	Receipt     json.RawMessage
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const columns = `e.id, e.user_hash, e.hash_key_id, e.source, e.state, e.opened_at, e.grace_until,
	e.requested_at, e.due_at, e.completed_at, coalesce(e.state = 'requested' AND e.due_at < now(), false),
	ARRAY(SELECT p.participant FROM erasure_participants p
		WHERE p.erasure_id = e.id AND p.receipt IS NULL ORDER BY p.participant), e.certificate`

// Filter of List. Zero values filter nothing.
type Filter struct {
	State State
	Late  bool
	After uuid.UUID // IDs grow with time
	Limit int
}

// List returns erasures in the order in which they were opened.
func List(ctx context.Context, db Querier, f Filter) ([]Erasure, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM erasures e
		WHERE ($1 = '' OR e.state = $1) AND (NOT $2 OR e.state = 'requested' AND e.due_at < now()) AND e.id > $3
		ORDER BY e.id LIMIT $4`, string(f.State), f.Late, f.After, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Erasure])
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return list, nil
}

// Get returns one erasure with what its participants answered. It returns
// ErrNotFound if there is none.
func Get(ctx context.Context, db Querier, id uuid.UUID) (Erasure, []Answer, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM erasures e WHERE e.id = $1`, id)
	if err != nil {
		return Erasure{}, nil, fmt.Errorf("read erasure: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Erasure])
	if errors.Is(err, pgx.ErrNoRows) {
		return Erasure{}, nil, ErrNotFound
	}
	if err != nil {
		return Erasure{}, nil, fmt.Errorf("read erasure: %w", err)
	}
	answers, err := answersOf(ctx, db, id)
	return e, answers, err
}

func answersOf(ctx context.Context, db Querier, id uuid.UUID) ([]Answer, error) {
	rows, err := db.Query(ctx, `SELECT participant, answered_at, receipt FROM erasure_participants
		WHERE erasure_id = $1 ORDER BY participant`, id)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Answer])
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	return answers, nil
}

// Settings of the erasures.
type Settings struct {
	// Grace is how long data waits before participants are asked.
	Grace time.Duration
	// Deadline is how long participants may take before the erasure is late.
	Deadline time.Duration
	// PerHour is how many erasures one source may open within an hour; what
	// goes beyond is held.
	PerHour int
	// Stream carries the identity events, StreamMaxAge is how long it keeps them.
	Stream       string
	StreamMaxAge time.Duration
	// Tombstones make the keyed hashes.
	Tombstones *participant.Tombstones
	Now        func() time.Time
}
