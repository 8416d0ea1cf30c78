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

// rekeyShadow is what the foreign keys are for: they carry the ID along.
func (w *world) rekeyShadow(ctx context.Context, c contender, from, to string) error {
	for _, service := range c.databases {
		if _, err := w.pools[service].Exec(ctx, `UPDATE users SET id = $2 WHERE id = $1`, from, to); err != nil {
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
