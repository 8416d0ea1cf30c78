package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// faulty is a provider whose every hundredth webhook is lost, every hundredth
// comes twice, and every hundredth comes after all others. The same for everybody.
func faulty(all []delivery) (sent []delivery, f faultCounts) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same faults for everybody
	const percent = 100
	var after []delivery
	for _, d := range all {
		switch random.IntN(percent) {
		case 0:
			f.lost++
		case 1:
			sent, f.repeated = append(sent, d, d), f.repeated+1
		case 2:
			after, f.late = append(after, d), f.late+1
		default:
			sent = append(sent, d)
		}
	}
	return append(sent, after...), f
}

// faultCounts is how many webhooks went astray, and how.
type faultCounts struct{ lost, repeated, late int }

const faultsTenant = "faults"

func faultUser(i int) string { return fmt.Sprintf("faulty_%06d", i) }

// webhookFaults measures what is wrong after webhooks went astray, and after the repair.
func webhookFaults(ctx context.Context, w *world) (report.Section, error) { //nolint:gocognit // a scenario is read from top to bottom
	section := report.Section{
		Title: "Webhooks that are lost, repeated and late", Question: "One webhook in a hundred is lost, one comes twice, one too late: what is wrong then, and what repairs it?",
		Method: []string{
			fmt.Sprintf("%d users sign up, order once, are renamed twice, and every fifth is deleted. Which of their webhooks go astray is drawn once, with a fixed seed, and is the same for every receiver; it is simulated by whoever delivers. The provider gives up a lost one.", w.Changes),
			"Wrong names are counted on the pages that staff see. Missing are users who have no row in a database after they signed up and before they ask for anything; the federated archetype keeps no rows, so none can be missing. Left over are rows of users who are deleted at the provider.",
			"The repair is each archetype's reconciliation with the provider's list of all users, run at once; the federated one looks a missing user up twice, a grace period apart (1 s here, a day by default). Names that are wrong only because an event was lost mend in a minute, when the directory is asked again.",
		},
	}
	wrong, missing, left, repair, wrongAfter, leftAfter := bars(), bars(), bars(), bars(), bars(), bars()
	ids := make([]string, w.Changes)
	for i := range ids {
		ids[i] = faultUser(i)
	}
	if err := w.register(ctx, ids...); err != nil {
		return section, err
	}
	created, err := w.about(ids, "user.created", nameOf)
	if err != nil {
		return section, err
	}
	listers := make([]*lister, len(contenders))
	for i, c := range contenders {
		listers[i] = w.lister(c)
		if err := w.deliverAll(ctx, c, created); err != nil {
			return section, err
		}
		n, err := w.missing(ctx, c, ids)
		if err != nil {
			return section, err
		}
		missing[i].Values = []float64{float64(n)}
		if err := w.orderEach(ctx, c, ids); err != nil {
			return section, err
		}
		if _, err := w.wrongNames(ctx, listers[i], nil); err != nil { // the names are in memory
			return section, err
		}
	}
	names, gone, news, err := w.unrest(ctx, ids)
	if err != nil {
		return section, err
	}
	sent, astray := faulty(news)
	section.Method = append(section.Method, fmt.Sprintf("Of the %d webhooks about renames and deletions %d were lost, %d came twice and %d late.", len(news), astray.lost, astray.repeated, astray.late))
	for i, c := range contenders {
		if err := w.inOrder(ctx, c, sent); err != nil {
			return section, err
		}
		if c.archetype == report.Federated {
			if err := w.erased(ctx); err != nil {
				return section, err
			}
		}
		n, err := w.wrongNames(ctx, listers[i], names)
		if err != nil {
			return section, err
		}
		rows, err := w.leftOver(ctx, c, gone)
		if err != nil {
			return section, err
		}
		wrong[i].Values, left[i].Values = []float64{float64(n)}, []float64{float64(rows)}
		begun := time.Now()
		if err := w.repair(ctx, c, gone); err != nil {
			return section, err
		}
		repair[i].Values = []float64{ms(time.Since(begun))}
		if rows, err = w.leftOver(ctx, c, gone); err != nil {
			return section, err
		}
		leftAfter[i].Values = []float64{float64(rows)}
		if n, err = w.wrongNames(ctx, listers[i], names); err != nil {
			return section, err
		}
		wrongAfter[i].Values = []float64{float64(n)}
	}
	section.Measures = []report.Measure{
		{Name: "rows of users that are missing, after all sign-ups", Unit: report.Count, Bars: missing},
		{Name: "orders under a wrong name", Unit: report.Count, Bars: wrong},
		{Name: "rows of deleted users that are left over", Unit: report.Count, Bars: left},
		{Name: "the repair takes", Unit: report.Milliseconds, Bars: repair},
		{Name: "after the repair: orders under a wrong name", Unit: report.Count, Bars: wrongAfter},
		{Name: "after the repair: rows of deleted users", Unit: report.Count, Bars: leftAfter},
	}
	return section, nil
}

// about makes one webhook about each user.
func (w *world) about(ids []string, kind string, name func(string) string) ([]delivery, error) {
	all := make([]delivery, len(ids))
	for i, id := range ids {
		data := profile(id, name(id), time.Now())
		if kind == "user.deleted" {
			data = map[string]any{"id": id}
		}
		var err error
		if all[i], err = w.webhooks.sign(kind, data); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unrest renames everybody twice at the provider and deletes every fifth. It
// returns who is called what, who is gone, and the webhooks in their order.
func (w *world) unrest(ctx context.Context, ids []string) (names map[string]string, gone []string, news []delivery, err error) {
	names = map[string]string{}
	for _, round := range []string{"First", "Second"} {
		batch, err := w.about(ids, "user.updated", func(id string) string { return round + " name of " + id })
		if err != nil {
			return nil, nil, nil, err
		}
		news = append(news, batch...)
	}
	for i, id := range ids {
		if i%5 == 0 {
			gone = append(gone, id)
			continue
		}
		names[id] = "Second name of " + id
	}
	farewell, err := w.about(gone, "user.deleted", nameOf)
	if err != nil {
		return nil, nil, nil, err
	}
	pool := w.pools[devstack.DevIDP]
	_, err = pool.Exec(ctx, `UPDATE users SET name = 'Second name of ' || id, updated_at = clock_timestamp() WHERE id = ANY($1)`, ids)
	if err == nil {
		_, err = pool.Exec(ctx, `DELETE FROM users WHERE id = ANY($1)`, gone)
	}
	return names, gone, append(news, farewell...), err
}

// deliverAll sends with the faults, several at once.
func (w *world) deliverAll(ctx context.Context, c contender, all []delivery) error {
	sent, _ := faulty(all)
	return w.inOrder(ctx, c, sent)
}

// inOrder sends one after the other, so that only what was made late is late.
func (w *world) inOrder(ctx context.Context, c contender, sent []delivery) error {
	for _, d := range sent {
		if err := w.deliver(ctx, c, d); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) orderEach(ctx context.Context, c contender, ids []string) error {
	_, err := measure.Full(ctx, 8, len(ids), patience, func(ctx context.Context, i int, _ time.Time) error {
		token, err := w.signer.token(ids[i], faultsTenant, customer, c.archetype == report.Shadow)
		if err != nil {
			return err
		}
		return w.place(ctx, w.urls[c.orders], token)
	})
	return err
}

// missing counts users without a row in each table of users.
func (w *world) missing(ctx context.Context, c contender, ids []string) (sum int, err error) {
	if c.archetype == report.Federated {
		return 0, nil
	}
	for _, service := range c.databases {
		var there int
		if err := w.pools[service].QueryRow(ctx, `SELECT count(*) FROM users WHERE id = ANY($1)`, ids).Scan(&there); err != nil {
			return 0, err
		}
		sum += len(ids) - there
	}
	return sum, nil
}

// wrongNames reads all pages and counts orders of those in names that show another.
func (w *world) wrongNames(ctx context.Context, l *lister, names map[string]string) (wrong int, err error) {
	for cursor := ""; ; {
		query := "limit=100"
		if cursor != "" {
			query += "&cursor=" + cursor
		}
		p, _, err := l.get(ctx, faultsTenant, query)
		if err != nil {
			return 0, err
		}
		for _, o := range p.Orders {
			want, lives := names[o.UserID]
			if lives && (o.Customer == nil || o.Customer.Name != want) {
				wrong++
			}
		}
		if cursor = p.NextCursor; cursor == "" {
			return wrong, nil
		}
	}
}

// leftOver counts rows that bear the IDs of deleted users without a reason.
func (w *world) leftOver(ctx context.Context, c contender, gone []string) (sum int64, err error) {
	for _, id := range gone {
		n, err := w.bearing(ctx, c, id)
		if err != nil {
			return 0, err
		}
		if c.archetype == report.Federated && n > 0 {
			var erased bool
			err := w.pools[devstack.Orders].QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM orders WHERE user_id = $1)`, id).Scan(&erased)
			if err != nil {
				return 0, err
			}
			if erased { // what is left is what the law keeps
				kept, err := w.kept(ctx, c, id)
				if err != nil {
					return 0, err
				}
				n -= kept
			}
		}
		sum += n
	}
	return sum, nil
}

// repair reconciles with the provider's list.
func (w *world) repair(ctx context.Context, c contender, gone []string) error {
	if c.archetype == report.Federated {
		return w.repairFederated(ctx, c, gone)
	}
	tombstones, err := participant.LoadTombstones(w.running.SecretFile("tombstone-" + shadowServices[c.orders]))
	if err != nil {
		return err
	}
	for _, service := range c.databases {
		list := users.NewAutherList(w.urls[devstack.DevIDP], w.running.SecretFile("idp-administrator"), w.client)
		if _, err := users.NewReconciler(w.pools[service], list, users.Options{Tombstones: tombstones}).Once(ctx); err != nil {
			return fmt.Errorf("reconcile %s: %w", service, err)
		}
	}
	return nil
}

var errNotRepaired = errors.New("reconciliation left rows of deleted users")

func (w *world) repairFederated(ctx context.Context, c contender, gone []string) error {
	operator, done, err := w.operator()
	if err != nil {
		return err
	}
	defer done()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		r, err := operator.Reconcile(ctx, relayapi.ReconcileRequest{})
		for err == nil && r.State == "running" {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			r, err = operator.Reconciliation(ctx, r.ID)
		}
		if err != nil {
			return err
		}
		if r.Problem != "" {
			return fmt.Errorf("reconcile: %s", r.Problem)
		}
		if err := w.erased(ctx); err != nil {
			return err
		}
		if left, err := w.leftOver(ctx, c, gone); err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second): // the second look-up comes a grace period later
		}
	}
	return errNotRepaired
}
