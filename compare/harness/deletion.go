package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

// take returns a user whom no other measurement has.
func (w *world) take() string {
	w.taken++
	return userID(w.Users - w.taken)
}

// takeWithToken returns one who has just made a request.
func (w *world) takeWithToken(ctx context.Context, c contender) (id, token string, err error) {
	id = w.take()
	if token, err = w.signer.token(id, tenant, customer, c.archetype == report.Shadow); err != nil {
		return id, "", err
	}
	return id, token, w.place(ctx, w.urls[c.orders], token)
}

// deleteEverywhere deletes a user at the provider and waits until the contender
// is done with it. It returns how long until the webhooks were answered, and
// until everything was done.
func (w *world) deleteEverywhere(ctx context.Context, c contender, id string) (answered, done time.Duration, err error) {
	if _, err := w.pools[devstack.DevIDP].Exec(ctx, `DELETE FROM users WHERE id = $1`, id); err != nil {
		return 0, 0, fmt.Errorf("delete at the provider: %w", err)
	}
	begun := time.Now()
	if err := w.tell(ctx, c, "user.deleted", map[string]any{"id": id}); err != nil {
		return 0, 0, err
	}
	answered = time.Since(begun)
	if c.archetype == report.Federated {
		err = w.erased(ctx)
	}
	return answered, time.Since(begun), err
}

// deletions measures how a user goes.
func deletions(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "A user is deleted", Question: "When is a deleted user gone everywhere, what is left, and who can prove it?",
		Method: []string{
			fmt.Sprintf("The user is deleted at the provider and its webhook delivered; the user has %d orders and invoices. Users a run, one after another: %d; of their times the median counts, of their rows the sum.", w.OrdersEach+1, w.perRun()),
			"Gone is when both databases have committed; in the federated archetype when the erasure is complete, with a receipt of each service that counted again, and a certificate. Its grace period, by default 24 h in which a deletion can be undone, is 0 s here.",
			"The shadow archetype deletes orders by cascade and unnames invoices: a foreign key cannot keep the ID of a row that is gone. SET NULL is the choice of this variant; another may copy the recipient into the invoice. The federated one pseudonymises orders and keeps invoices under the ID, for as long as its manifest says the law wants them: these rows have a stated reason.",
		},
	}
	answered, gone, under, left := bars(), bars(), bars(), bars()
	last := make([]string, len(contenders))
	err := w.inTurns(ctx, func(_, i int, c contender) error {
		var first, all []time.Duration
		var ids []string
		for range w.perRun() {
			id, _, err := w.takeWithToken(ctx, c)
			if err != nil {
				return err
			}
			a, g, err := w.deleteEverywhere(ctx, c, id)
			if err != nil {
				return err
			}
			first, all, ids = append(first, a), append(all, g), append(ids, id)
		}
		r, err := w.remains(ctx, c, ids)
		answered[i].Values, gone[i].Values = append(answered[i].Values, latencyOf(first).p50), append(gone[i].Values, latencyOf(all).p50)
		under[i].Values, left[i].Values = append(under[i].Values, float64(r.rows+r.retained)), append(left[i].Values, float64(r.rows))
		last[i] = ids[len(ids)-1]
		return err
	})
	if err != nil {
		return section, err
	}
	section.Measures = []report.Measure{
		{Name: "until the webhook is answered", Unit: report.Milliseconds, Bars: answered},
		{Name: "until gone everywhere", Unit: report.Milliseconds, Bars: gone},
		{Name: "rows that bear the deleted users' IDs", Unit: report.Count, Bars: under},
		{Name: "of these rows, without a stated reason", Unit: report.Count, Bars: left},
	}
	proof, err := w.proof(ctx, last)
	section.Tables = []report.Table{proof}
	return section, err
}

func (w *world) perRun() int { return max(1, w.Samples/8) }
