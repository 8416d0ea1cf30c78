package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

// againBatch is how many users are looked for among the erased ones at a time.
const againBatch = 1000

// again is a user who was erased and of whom somebody holds data all the same:
// a backup was restored, or the participant joined after the erasure.
type again struct {
	erasures.Found
	holders []string
	// foreign users are of another issuer: the list knows nothing of them.
	foreign bool
}

// leaveOutErased takes out the missing users who were erased before. That they
// are missing is no news, however many they are.
func (p *pass) leaveOutErased(ctx context.Context) error {
	for _, group := range []struct {
		users   map[string]uint32
		foreign bool
	}{{p.held, false}, {p.foreign, true}} {
		for batch := range slices.Chunk(slices.Collect(maps.Keys(group.users)), againBatch) {
			found, err := erasures.FindComplete(ctx, p.Pool, p.Recorder.Erasures, batch)
			if err != nil {
				return err
			}
			for _, f := range found {
				p.erased = append(p.erased, again{f, p.sets.names[group.users[f.UserID]], group.foreign})
				delete(group.users, f.UserID)
			}
		}
	}
	p.result.Erased = len(p.erased)
	return nil
}

// settleErased asks for those erasures again. One look-up must not find the user:
// the identity provider may have given the ID to somebody new.
func (p *pass) settleErased(ctx context.Context) error {
	for _, e := range p.erased {
		if !e.foreign {
			gone, err := p.gone(ctx, e.UserID)
			if err != nil {
				return err
			}
			if !gone {
				continue
			}
		}
		holders := slices.DeleteFunc(slices.Clone(e.holders), func(name string) bool { return name == erasures.Self })
		err := p.Recorder.Transact(ctx, func(tx pgx.Tx) error {
			outcome, err := erasures.Reopen(ctx, tx, p.Recorder.Erasures, e.Found, holders, p.started)
			switch outcome {
			case erasures.Reopened:
				p.result.Reopened++
			case erasures.Postponed:
				p.result.Postponed++
			case erasures.Unchanged:
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("open an erasure again: %w", err)
		}
	}
	return nil
}

// readWaiting reads whose erasure has asked nobody yet: if the list names one of
// them, the user may be back.
func (p *pass) readWaiting(ctx context.Context) error {
	rows, err := p.Pool.Query(ctx, `SELECT user_id FROM erasures WHERE state IN ('grace', 'held')`)
	if err != nil {
		return fmt.Errorf("read erasures that wait: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read erasures that wait: %w", err)
	}
	for _, id := range ids {
		p.waiting[id] = struct{}{}
	}
	return nil
}

// rescue withdraws the erasures of users whom the list names again, after a
// look-up of each: the list may be older than the deletion.
func (p *pass) rescue(ctx context.Context) error {
	for _, userID := range p.reappeared {
		askedAt := p.Now()
		_, found, err := p.Users.Lookup(ctx, userID)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.result.Unanswered++
			if p.result.Unanswered >= maxUnanswered {
				return errors.Join(errUnanswered, err)
			}
			continue
		}
		if !found {
			continue
		}
		err = p.Recorder.Transact(ctx, func(tx pgx.Tx) error {
			withdrawn, err := erasures.Rescue(ctx, tx, p.Recorder.Erasures, userID, askedAt)
			if withdrawn && err == nil {
				p.result.Rescued++
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("withdraw an erasure: %w", err)
		}
	}
	return nil
}
