package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/compare/report"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// rekeys measures a user who gets another ID.
func rekeys(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "A user gets another ID", Question: "The provider was replaced, or two accounts became one: what does it take to follow?",
		Method: []string{
			"The user has orders and invoices. In the shadow archetype somebody writes a transaction for each database: a row with the new ID, the rows that refer to the old one, then that. Its foreign keys see to it that no row is forgotten, in that database.",
			"In the federated one the operator asks the relay (shadowless rekey); each participant changes its rows from its manifest, leaves a tombstone for the old ID, and answers with a receipt.",
		},
	}
	took := bars()
	err := w.inTurns(ctx, func(run, i int, c contender) error {
		var each []time.Duration
		for n := range w.perRun() {
			id, _, err := w.takeWithToken(ctx, c)
			if err != nil {
				return err
			}
			other := fmt.Sprintf("rekeyed_%d_%d_%d", i, run, n)
			if err := w.register(ctx, other); err != nil {
				return err
			}
			begun := time.Now()
			if c.archetype == report.Federated {
				err = w.rekeyFederated(ctx, id, other)
			} else {
				err = w.rekeyShadow(ctx, c, id, other)
			}
			if err != nil {
				return err
			}
			each = append(each, time.Since(begun))
			left, err := w.bearing(ctx, c, id)
			if err != nil {
				return err
			}
			if left != 0 {
				return fmt.Errorf("%d rows still bear the old ID", left)
			}
		}
		took[i].Values = append(took[i].Values, latencyOf(each).p50)
		return nil
	})
	section.Measures = []report.Measure{{Name: "until no row bears the old ID", Unit: report.Milliseconds, Bars: took}}
	return section, err
}

// referringSQL lists the tables that refer to users.
const referringSQL = `SELECT format('UPDATE %s SET %I = $2 WHERE %I = $1', conrelid::regclass, a.attname, a.attname)
	FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
	WHERE c.contype = 'f' AND c.confrelid = 'users'::regclass`

func (w *world) rekeyShadow(ctx context.Context, c contender, from, to string) error {
	for _, service := range c.databases {
		err := pgx.BeginFunc(ctx, w.pools[service], func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO users (id, name, email, avatar_url, banned, updated_at, created_at)
				SELECT $2, name, email, avatar_url, banned, updated_at, created_at FROM users WHERE id = $1`, from, to)
			if err != nil {
				return err
			}
			rows, err := tx.Query(ctx, referringSQL)
			if err != nil {
				return err
			}
			updates, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, update := range updates {
				if _, err := tx.Exec(ctx, update, from, to); err != nil {
					return err
				}
			}
			_, err = tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, from)
			return err
		})
		if err != nil {
			return fmt.Errorf("rekey in %s: %w", service, err)
		}
	}
	return nil
}

func (w *world) rekeyFederated(ctx context.Context, from, to string) error {
	operator, done, err := w.operator()
	if err != nil {
		return err
	}
	defer done()
	r, err := operator.Rekey(ctx, from, to, relayapi.RekeyRequest{AcceptUnknown: true})
	for deadline := time.Now().Add(patience); err == nil && r.State != "complete"; {
		if time.Now().After(deadline) {
			return fmt.Errorf("the rekeying waits for %v", r.WaitingFor)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
		r, err = operator.Rekeying(ctx, r.ID)
	}
	return err
}
