// Package erasures carries an erasure from its opening to its certificate.
//
// An erasure waits in grace (or is held, when its source asks for too many),
// is then requested of every registered participant, and is complete when all of
// them have answered with a receipt. The relay is a participant too, and answers
// last: it needs the user ID until everybody else is done.
//
// Locks are taken in one order, so that nobody waits in a circle: the user
// (LockUser), then legal holds, then the row of the erasure. Who has a row first,
// as the Worker, waits for none of the others: it skips what is locked, and tries
// again later.
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
	Held      State = "held"      // the breaker or a legal hold stopped it; somebody must release it
	Grace     State = "grace"     // access is blocked, data waits
	Requested State = "requested" // participants are asked
	Complete  State = "complete"  // all have answered, the certificate is written
	Withdrawn State = "withdrawn" // the user was there after all, before data was touched
)

// Errors of this package.
var (
	ErrNotFound     = errors.New("no such erasure")
	ErrNotHeld      = errors.New("the erasure is not held")
	ErrUnderWay     = errors.New("participants have been asked already")
	ErrNotRequested = errors.New("nobody has been asked, or all have answered")
	ErrReadmitted   = errors.New("the user was readmitted, or the erasure withdrawn, before")
	ErrOtherUser    = errors.New("the erasure is of another user")
	ErrHoldExists   = errors.New("the user is under a legal hold already")
	ErrNoHold       = errors.New("no such legal hold")
	ErrRekeyed      = errors.New("the user has another ID")
	ErrReason       = errors.New("the reason names the user")
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
	// Round counts how often participants were asked: a restored backup, or a
	// participant that came later, begins another.
	Round        int
	ReopenedAt   *time.Time
	OverLimit    bool    // held by the breaker
	HoldReason   *string // held by a legal hold
	WithdrawnAt  *time.Time
	ReadmittedAt *time.Time
	WaitingFor   []string
	Certificate  json.RawMessage
	Edition      int
	deleted      int64
}

// Answer is what one participant said, or has yet to say.
type Answer struct {
	Participant string
	Round       int
	AnsweredAt  *time.Time
	Receipt     json.RawMessage
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// RowQuerier is a pool or a transaction, too.
type RowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const columns = `e.id, e.user_hash, e.hash_key_id, e.source, e.state, e.opened_at, e.grace_until,
	e.requested_at, e.due_at, e.completed_at, coalesce(e.state = 'requested' AND e.due_at < now(), false),
	e.round, e.reopened_at, e.over_limit, (SELECT h.reason FROM legal_holds h WHERE h.id = e.hold_id), e.withdrawn_at, e.readmitted_at,
	ARRAY(SELECT p.participant FROM erasure_participants p
		WHERE p.erasure_id = e.id AND p.round = e.round AND p.receipt IS NULL ORDER BY p.participant),
	e.certificate, e.edition, e.messages_deleted`

func scan(row pgx.CollectableRow) (e Erasure, err error) {
	err = row.Scan(&e.ID, &e.UserHash, &e.HashKeyID, &e.Source, &e.State, &e.OpenedAt, &e.GraceUntil,
		&e.RequestedAt, &e.DueAt, &e.CompletedAt, &e.Late, &e.Round, &e.ReopenedAt, &e.OverLimit, &e.HoldReason,
		&e.WithdrawnAt, &e.ReadmittedAt, &e.WaitingFor, &e.Certificate, &e.Edition, &e.deleted)
	return e, err
}

// Filter of List. Zero values filter nothing.
type Filter struct {
	State State
	Late  bool
	// Users are keyed hashes of one user ID, see Tombstones.Hashes.
	Users [][]byte
	After uuid.UUID // IDs grow with time
	Limit int
}

// List returns erasures in the order in which they were opened.
func List(ctx context.Context, db Querier, f Filter) ([]Erasure, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM erasures e
		WHERE ($1 = '' OR e.state = $1) AND (NOT $2 OR e.state = 'requested' AND e.due_at < now()) AND e.id > $3
			AND ($5::bytea[] IS NULL OR e.user_hash = ANY($5))
		ORDER BY e.id LIMIT $4`, string(f.State), f.Late, f.After, f.Limit, f.Users)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return list, nil
}

// Get returns one erasure. It returns ErrNotFound if there is none.
func Get(ctx context.Context, db Querier, id uuid.UUID) (Erasure, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM erasures e WHERE e.id = $1`, id)
	if err != nil {
		return Erasure{}, fmt.Errorf("read erasure: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Erasure{}, ErrNotFound
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("read erasure: %w", err)
	}
	return e, nil
}

// Detail is an erasure with all that is known of it.
type Detail struct {
	Erasure
	// Answers are those of every round.
	Answers []Answer
	// Ended are the receipts of retentions that have ended since.
	Ended     []Answer
	Decisions []Decision
}

// GetDetail returns one erasure with answers and decisions. It returns
// ErrNotFound if there is none.
func GetDetail(ctx context.Context, db Querier, id uuid.UUID) (d Detail, err error) {
	if d.Erasure, err = Get(ctx, db, id); err != nil {
		return d, err
	}
	d.Answers, err = answersOf(ctx, db, `SELECT participant, round, answered_at, receipt FROM erasure_participants
		WHERE erasure_id = $1 ORDER BY round, participant`, id)
	if err != nil {
		return d, err
	}
	d.Ended, err = answersOf(ctx, db, `SELECT participant, 0, received_at, receipt FROM erasure_retention_receipts
		WHERE erasure_id = $1 ORDER BY received_at, message_id`, id)
	if err != nil {
		return d, err
	}
	d.Decisions, err = decisionsOf(ctx, db, id)
	return d, err
}

func answersOf(ctx context.Context, db Querier, query string, id uuid.UUID) ([]Answer, error) {
	rows, err := db.Query(ctx, query, id)
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
