package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// rekeys measures a user who gets another ID.
func rekeys(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "A user gets another ID", Question: "The provider was replaced, or two accounts became one: what does it take to follow?",
		Method: []string{
			"The user has orders and invoices. In the shadow archetype it is one UPDATE for each database: the foreign keys carry the ID along (ON UPDATE CASCADE), and no row of that database can be forgotten.",
			"In the federated one the operator asks the relay (shadowless rekey); each participant changes its rows from its manifest, leaves a tombstone for the old ID, and answers with a receipt.",
			fmt.Sprintf("After that a token of the old ID, which still lives, is tried: %d reads at orders and %d orders. The UPDATE leaves no tombstone for the old ID; one that somebody adds by hand would refuse it.", oldAttempts, oldAttempts),
		},
	}
	operator, done, err := w.operator()
	if err != nil {
		return section, err
	}
	defer done()
	took, read, placed, rows := bars(), bars(), bars(), bars()
	err = w.inTurns(ctx, func(run, i int, c contender) error {
		var each []time.Duration
		var reads, orders int
		var again int64
		for n := range w.perRun() {
			id, token, err := w.takeWithToken(ctx, c)
			if err != nil {
				return err
			}
			other := fmt.Sprintf("rekeyed_%d_%d_%d", i, run, n)
			if err := w.register(ctx, other); err != nil {
				return err
			}
			begun := time.Now()
			if c.archetype == report.Federated {
				err = rekeyFederated(ctx, operator, id, other)
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
			got, err := w.useToken(ctx, c, token, oldAttempts)
			if err != nil {
				return err
			}
			if left, err = w.bearing(ctx, c, id); err != nil {
				return err
			}
			reads, orders, again = reads+got.reads, orders+got.orders, again+left
		}
		took[i].Values = append(took[i].Values, latencyOf(each).p50)
		read[i].Values, placed[i].Values = append(read[i].Values, float64(reads)), append(placed[i].Values, float64(orders))
		rows[i].Values = append(rows[i].Values, float64(again))
		return nil
	})
	section.Measures = []report.Measure{
		{Name: "until no row bears the old ID", Unit: report.Milliseconds, Bars: took},
		{Name: fmt.Sprintf("reads that were answered to tokens of the old IDs, of %d", w.perRun()*oldAttempts), Unit: report.Count, Bars: read},
		{Name: fmt.Sprintf("orders that were taken from tokens of the old IDs, of %d", w.perRun()*oldAttempts), Unit: report.Count, Bars: placed},
		{Name: "rows that bear the old IDs again", Unit: report.Count, Bars: rows},
	}
	return section, err
}

// oldAttempts with a token of an ID that was replaced.
const oldAttempts = 10

// rekeyShadow is what the foreign keys are for: they carry the ID along.
func (w *world) rekeyShadow(ctx context.Context, c contender, from, to string) error {
	for _, service := range c.databases {
		if _, err := w.pools[service].Exec(ctx, `UPDATE users SET id = $2 WHERE id = $1`, from, to); err != nil {
			return fmt.Errorf("rekey in %s: %w", service, err)
		}
	}
	return nil
}

func rekeyFederated(ctx context.Context, operator *relayapi.Client, from, to string) error {
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
