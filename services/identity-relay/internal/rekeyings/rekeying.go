// Package rekeyings gives users another ID: the identity provider was migrated,
// or two accounts became one. It is the sibling of package erasures: the same
// registry says who must answer, an event asks, receipts tell what was done, and
// it is complete when the last one has come. The relay answers last.
package rekeyings

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// States.
const (
	DryRun    = "dry_run"
	Requested = "requested"
	Complete  = "complete"
)

// causeRekeyed blocks the old ID. No ban's end lifts it.
const causeRekeyed revocations.Cause = "rekeyed"

// ErrNotFound is returned for a rekeying that does not exist.
var ErrNotFound = errors.New("no such rekeying")

// Rekeying as operators see it. It never holds a user ID.
type Rekeying struct {
	ID              uuid.UUID
	OldHash         []byte
	NewHash         []byte
	HashKeyID       string
	RequestedBy     string
	State           string
	OpenedAt        time.Time
	DueAt           time.Time
	CompletedAt     *time.Time
	MessagesDeleted int64
	Late            bool
	WaitingFor      []string
}

// Answer is what one participant said, or has yet to say.
type Answer struct {
	Participant string
	AnsweredAt  *time.Time
	Receipt     []byte
}

const columns = `r.id, r.old_hash, r.new_hash, r.hash_key_id, r.requested_by, r.state, r.opened_at, r.due_at, r.completed_at, r.messages_deleted,
	r.state = 'requested' AND r.due_at < now(),
	ARRAY(SELECT p.participant FROM rekeying_participants p WHERE p.rekeying_id = r.id AND p.receipt IS NULL ORDER BY p.participant)`

func read(ctx context.Context, db erasures.Querier, where string, args ...any) ([]Rekeying, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM rekeyings r `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read rekeyings: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Rekeying])
	if err != nil {
		return nil, fmt.Errorf("read rekeyings: %w", err)
	}
	return list, nil
}

// List returns the newest rekeyings first; open ones alone, if asked to.
func List(ctx context.Context, db erasures.Querier, open bool, limit int) ([]Rekeying, error) {
	return read(ctx, db, `WHERE NOT $1 OR r.state <> 'complete' ORDER BY r.id DESC LIMIT $2`, open, limit)
}

// Get returns one with its answers, or ErrNotFound.
func Get(ctx context.Context, db erasures.Querier, id uuid.UUID) (Rekeying, []Answer, error) {
	list, err := read(ctx, db, `WHERE r.id = $1`, id)
	if err != nil {
		return Rekeying{}, nil, err
	}
	if len(list) == 0 {
		return Rekeying{}, nil, ErrNotFound
	}
	rows, err := db.Query(ctx, `SELECT participant, answered_at, receipt FROM rekeying_participants WHERE rekeying_id = $1 ORDER BY participant`, id)
	if err != nil {
		return Rekeying{}, nil, fmt.Errorf("read receipts: %w", err)
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Answer])
	if err != nil {
		return Rekeying{}, nil, fmt.Errorf("read receipts: %w", err)
	}
	return list[0], answers, nil
}

// Rekeyed reports whether a user has another ID now, by the hashes of the old one.
func Rekeyed(ctx context.Context, tx pgx.Tx, hashes [][]byte) (bool, error) {
	var rekeyed bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rekeyings WHERE old_hash = ANY($1))`, hashes).Scan(&rekeyed)
	if err != nil {
		return false, fmt.Errorf("look for a rekeying: %w", err)
	}
	return rekeyed, nil
}
