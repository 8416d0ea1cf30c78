package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
)

// maxUnanswered ends a pass whose look-ups keep failing: the identity provider
// is not well, and asking on does not help it.
const maxUnanswered = 20

var errUnanswered = errors.New("the identity provider does not answer look-ups")

// candidate is a missing user with the time of the first "not found".
type candidate struct {
	userID string
	first  time.Time
}

// settleMissing looks each missing user up. The first "not found" is stored, so
// that a restart forgets nothing; the second one, a grace period later, deletes.
func (p *pass) settleMissing(ctx context.Context) error {
	if err := p.forgetFound(ctx); err != nil {
		return err
	}
	var waiting []candidate
	for userID := range p.held {
		first, before := p.known[userID]
		if before && p.Now().Sub(first) < p.Settings.Grace {
			waiting = append(waiting, candidate{userID, first})
			continue
		}
		gone, err := p.gone(ctx, userID)
		if err != nil {
			return err
		}
		switch {
		case !gone:
		case before:
			if err := p.deleteUser(ctx, userID); err != nil {
				return err
			}
		default:
			now := p.Now().UTC()
			noted, err := p.note(ctx, userID, now)
			if err != nil {
				return err
			}
			if noted {
				waiting = append(waiting, candidate{userID, now})
			}
		}
	}
	return p.second(ctx, waiting)
}

// note stores the first "not found", unless an erasure has overtaken the pass.
func (p *pass) note(ctx context.Context, userID string, now time.Time) (noted bool, err error) {
	err = p.Recorder.Transact(ctx, func(tx pgx.Tx) error {
		overtaken, err := p.overtaken(ctx, tx, userID)
		if err != nil || overtaken {
			return err
		}
		noted = true
		_, err = tx.Exec(ctx, `INSERT INTO reconciliation_missing (user_id, first_not_found_at) VALUES ($1, $2)
			ON CONFLICT (user_id) DO NOTHING`, userID, now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store a missing user: %w", err)
	}
	return noted, nil
}

// overtaken reports that an erasure of the user is under way, or was completed
// since the participants were read: then what they told is out of date, and a
// row about the user would bring their ID back. Until tx ends it also keeps the
// relay from erasing its own rows of the user.
func (p *pass) overtaken(ctx context.Context, tx pgx.Tx, userID string) (overtaken bool, err error) {
	if err := erasures.LockUser(ctx, tx, userID, false); err != nil {
		return false, err
	}
	// By hash: where the relay has erased its own rows, an erasure that is not
	// complete does not know its user any more.
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasures
		WHERE user_hash = ANY($1) AND (state IN ('held', 'grace', 'requested') OR completed_at >= $2))`,
		p.Tombstones.Hashes(userID), p.started).Scan(&overtaken)
	if err != nil {
		return false, fmt.Errorf("look for an erasure: %w", err)
	}
	return overtaken, nil
}

// second does the second look-ups where their time comes within this pass.
func (p *pass) second(ctx context.Context, waiting []candidate) error {
	if p.Settings.Grace > maxInlineGrace {
		p.result.Waiting = len(waiting)
		return nil
	}
	for _, c := range waiting {
		timer := time.NewTimer(p.Settings.Grace - p.Now().Sub(c.first))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		gone, err := p.gone(ctx, c.userID)
		if err != nil {
			return err
		}
		if !gone {
			continue
		}
		if err := p.deleteUser(ctx, c.userID); err != nil {
			return err
		}
	}
	return nil
}

// gone asks about one user. A user who exists after all is no longer missing;
// no answer leaves everything as it was.
func (p *pass) gone(ctx context.Context, userID string) (bool, error) {
	_, found, err := p.Users.Lookup(ctx, userID)
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		p.result.Unanswered++
		if p.result.Unanswered >= maxUnanswered {
			return false, fmt.Errorf("%w: %w", errUnanswered, err)
		}
		return false, nil
	}
	if !found {
		return true, nil
	}
	p.result.Known++
	if _, err := p.Pool.Exec(ctx, `DELETE FROM reconciliation_missing WHERE user_id = $1`, userID); err != nil {
		return false, fmt.Errorf("forget a user who was found: %w", err)
	}
	return false, nil
}

// deleteUser records the deletion, unless an erasure has overtaken the pass.
func (p *pass) deleteUser(ctx context.Context, userID string) error {
	fact := relay.Fact{
		Source: relay.SourceReconciliation, Type: "user.missing", Kind: relay.UserDeleted,
		UserID: userID, OccurredAt: p.Now(), Held: true,
	}
	err := p.Recorder.Transact(ctx, func(tx pgx.Tx) error {
		overtaken, err := p.overtaken(ctx, tx, userID)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM reconciliation_missing WHERE user_id = $1`, userID); err != nil {
			return fmt.Errorf("forget a missing user: %w", err)
		}
		if overtaken {
			return nil
		}
		outcome, err := p.Recorder.Record(ctx, tx, fact)
		if err == nil && outcome == relay.Recorded {
			p.result.Deleted++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("record a deletion: %w", err)
	}
	return nil
}

// readKnown reads who was missing before.
func (p *pass) readKnown(ctx context.Context) error {
	rows, err := p.Pool.Query(ctx, `SELECT user_id, first_not_found_at FROM reconciliation_missing`)
	if err != nil {
		return fmt.Errorf("read missing users: %w", err)
	}
	var userID string
	var first time.Time
	_, err = pgx.ForEachRow(rows, []any{&userID, &first}, func() error {
		p.known[userID] = first
		return nil
	})
	if err != nil {
		return fmt.Errorf("read missing users: %w", err)
	}
	return nil
}

// forgetFound drops the users who are missing no more: they are listed again,
// or nobody holds data of them. If a participant did not answer, nobody knows
// the latter.
func (p *pass) forgetFound(ctx context.Context) error {
	complete := true
	for _, told := range p.result.Participants {
		complete = complete && told.Problem == ""
	}
	found := p.listedAgain
	for userID := range p.known {
		if _, missing := p.held[userID]; !missing && complete {
			found = append(found, userID)
		}
	}
	for _, userID := range found {
		delete(p.known, userID)
	}
	if len(found) == 0 {
		return nil
	}
	if _, err := p.Pool.Exec(ctx, `DELETE FROM reconciliation_missing WHERE user_id = ANY($1)`, found); err != nil {
		return fmt.Errorf("forget users who were found: %w", err)
	}
	return nil
}

// leaveOutOpen takes out the users whose erasure is under way: that they are
// missing is known.
func (p *pass) leaveOutOpen(ctx context.Context) error {
	rows, err := p.Pool.Query(ctx, `SELECT user_id FROM erasures WHERE state NOT IN ('complete', 'withdrawn')`)
	if err != nil {
		return fmt.Errorf("read open erasures: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read open erasures: %w", err)
	}
	for _, id := range ids {
		if _, held := p.held[id]; held {
			delete(p.held, id)
			p.result.UnderErasure++
		}
		delete(p.foreign, id)
	}
	return nil
}
