package erasures

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
)

// Retry asks the participants of an erasure again and gives them a new deadline.
// The request is a new event, so that those who lost the first one act on it;
// who has answered answers once more, and the first answer counts. It returns
// ErrNotFound or ErrNotRequested.
func Retry(ctx context.Context, tx pgx.Tx, s Settings, id uuid.UUID, by Decider) error {
	e, userID, err := lock(ctx, tx, id)
	if err != nil {
		return err
	}
	// Where only the relay's own part is missing, its user ID may be gone.
	if e.State != Requested || len(e.WaitingFor) == 0 {
		return ErrNotRequested
	}
	if strings.HasPrefix(userID, "erased:") {
		return ErrNotRequested
	}
	now := s.Now().UTC()
	if _, err := tx.Exec(ctx, `UPDATE erasures SET due_at = $2 WHERE id = $1`, id, now.Add(s.Deadline)); err != nil {
		return fmt.Errorf("set the deadline: %w", err)
	}
	if err := decide(ctx, tx, id, decidedAskedAgain, by, now); err != nil {
		return err
	}
	_, err = ask(ctx, tx, id, userID, now)
	return err
}

// Found is a complete erasure whose user somebody holds data of again.
type Found struct {
	ID     uuid.UUID
	UserID string
}

// FindComplete tells which of the users were erased and not readmitted: the last
// complete erasure of each. The users are found by their keyed hashes, since a
// complete erasure does not know its user.
func FindComplete(ctx context.Context, db Querier, s Settings, userIDs []string) ([]Found, error) {
	hashes := make([][]byte, 0, len(userIDs))
	owner := map[string]string{}
	for _, userID := range userIDs {
		for _, h := range s.Tombstones.Hashes(userID) {
			hashes = append(hashes, h)
			owner[string(h)] = userID
		}
	}
	rows, err := db.Query(ctx, `SELECT user_hash, id FROM erasures
		WHERE user_hash = ANY($1) AND state = 'complete' AND readmitted_at IS NULL ORDER BY id`, hashes)
	if err != nil {
		return nil, fmt.Errorf("look for complete erasures: %w", err)
	}
	last := map[string]uuid.UUID{}
	var hash []byte
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&hash, &id}, func() error {
		last[owner[string(hash)]] = id // IDs grow with time
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for complete erasures: %w", err)
	}
	found := make([]Found, 0, len(last))
	for userID, id := range last {
		found = append(found, Found{id, userID})
	}
	return found, nil
}

// Reopen asks these participants for an erasure that was complete: they were
// restored from a backup, or joined later, and hold the user's data. completedBefore
// is when they were asked what they hold; of what was completed since they may
// have told before they erased it. It reports what it did, and Postponed once the
// breaker's limit of an hour is reached.
func Reopen(ctx context.Context, tx pgx.Tx, s Settings, f Found, holders []string, completedBefore time.Time) (Reopening, error) {
	now := s.Now().UTC()
	recent, err := openedLately(ctx, tx, reopened, now)
	if err != nil {
		return 0, err
	}
	// The user before the row, as HoldUser.
	if err := LockUser(ctx, tx, f.UserID, true); err != nil {
		return 0, err
	}
	if _, _, err := lock(ctx, tx, f.ID); err != nil {
		return 0, err
	}
	if recent >= s.PerHour {
		return Postponed, nil
	}
	hold, err := HoldOf(ctx, tx, s.Tombstones, f.UserID)
	if err != nil {
		return 0, err
	}
	if hold != nil {
		return Postponed, nil
	}
	var round int
	rows, err := tx.Query(ctx, `UPDATE erasures e SET state = 'requested', user_id = $2, round = round + 1, reopened_at = $3, requested_at = $3,
			due_at = $4, completed_at = NULL, certificate = NULL
		WHERE id = $1 AND state = 'complete' AND readmitted_at IS NULL AND completed_at < $5
			AND NOT EXISTS (SELECT FROM erasures o WHERE o.user_id = $2 AND o.state <> 'complete')
		RETURNING round`, f.ID, f.UserID, now, now.Add(s.Deadline), completedBefore)
	if err != nil {
		return 0, fmt.Errorf("open the erasure again: %w", err)
	}
	rounds, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return 0, fmt.Errorf("open the erasure again: %w", err)
	}
	if len(rounds) == 0 {
		return Unchanged, nil
	}
	round = rounds[0]
	if err := countOpened(ctx, tx, reopened, now); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO erasure_participants (erasure_id, round, participant)
		SELECT $1::uuid, $2::integer, unnest($3::text[]) UNION SELECT $1, $2, $4::text`, f.ID, round, holders, Self)
	if err != nil {
		return 0, fmt.Errorf("note who must answer: %w", err)
	}
	who := holders
	if len(who) == 0 {
		who = []string{Self}
	}
	reason := "data under the erased user ID was found at " + strings.Join(who, ", ")
	if err := decide(ctx, tx, f.ID, decidedReopened, Decider{By: Self, Reason: reason}, now); err != nil {
		return 0, err
	}
	version, err := ask(ctx, tx, f.ID, f.UserID, now)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `UPDATE erasures SET request_version = $2 WHERE id = $1`, f.ID, version); err != nil {
		return 0, fmt.Errorf("note the request: %w", err)
	}
	return Reopened, nil
}

// Reopening is what Reopen did.
type Reopening uint8

// Reopenings.
const (
	Unchanged Reopening = iota
	Reopened
	Postponed
)

// ask puts the request into the log. Call it last: see eventlog.Append.
func ask(ctx context.Context, tx pgx.Tx, id uuid.UUID, userID string, now time.Time) (version int64, err error) {
	e, err := eventlog.Append(ctx, tx, Self, identity.Event{
		Type: identity.TypeErasureRequested, Time: now, UserID: userID, ErasureID: id.String(),
	})
	return int64(e.Version), err //nolint:gosec // versions stay far below 2^63
}
