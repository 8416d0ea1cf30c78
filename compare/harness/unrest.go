package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
)

const faultsTenant = "faults"

// unrest is a provider at which users come, change and go, while its webhooks
// go astray.
type unrest struct {
	w         *world
	ids, gone []string
	names     map[string]string // of those who stay
	listers   []*lister
	faults    *faults
	news      int       // webhooks about renames and deletions
	renamed   time.Time // for the last time
	tried     time.Time // when tokens of those who are gone were
	// The pages were counted between these after the last rename.
	earliest, latest time.Duration
}

// inUnrest is how many users: so many that some of a hundredth are lost.
func (w *world) inUnrest() int { return min(4*w.Changes, 1000) }

func (w *world) unrest(ctx context.Context) (*unrest, error) {
	u := &unrest{w: w, names: map[string]string{}, faults: newFaults()}
	for i := range w.inUnrest() {
		id := fmt.Sprintf("faulty_%06d", i)
		u.ids = append(u.ids, id)
		if i%5 == 0 {
			u.gone = append(u.gone, id)
		} else {
			u.names[id] = nameOf(id)
		}
	}
	for _, c := range contenders {
		u.listers = append(u.listers, w.lister(c))
		if err := w.inStep(ctx, c); err != nil {
			return nil, err
		}
	}
	return u, w.register(ctx, u.ids...)
}

// signUps delivers them with faults of their own, has everybody order once, and
// returns how many users a table does not have before they ask for anything.
func (u *unrest) signUps(ctx context.Context) (report.Measure, error) {
	missing := report.Measure{Name: "rows missing in tables of users, after all sign-ups", Unit: report.Count}
	created, err := u.w.about(u.ids, "user.created", time.Now(), nameOf)
	if err != nil {
		return missing, err
	}
	faults := newFaults()
	created = append(faults.draw(created), faults.late...)
	for i, c := range contenders {
		if err := u.w.deliverMany(ctx, c, created); err != nil {
			return missing, err
		}
		if c.archetype == report.Shadow {
			n, err := u.w.missing(ctx, c, u.ids)
			if err != nil {
				return missing, err
			}
			missing.Bars = append(missing.Bars, report.Bar{Label: c.label, Archetype: c.archetype, Values: []float64{float64(n)}})
		}
		if err := u.w.orderEach(ctx, c, u.ids); err != nil {
			return missing, err
		}
		if _, err := u.wrongNames(ctx, i); err != nil { // the names are in memory
			return missing, err
		}
	}
	return missing, nil
}

// rename everybody at the provider, then tell each contender and read its pages.
func (u *unrest) rename(ctx context.Context, round string) error {
	u.renamed = time.Now()
	_, err := u.w.pools[devstack.DevIDP].Exec(ctx, `UPDATE users SET name = $2 || ' name of ' || id, updated_at = $3 WHERE id = ANY($1)`, u.ids, round, u.renamed)
	if err != nil {
		return fmt.Errorf("rename at the provider: %w", err)
	}
	for id := range u.names {
		u.names[id] = round + " name of " + id
	}
	return u.tell(ctx, u.ids, "user.updated", func(id string) string { return round + " name of " + id })
}

// farewells deletes every fifth at the provider, and tells.
func (u *unrest) farewells(ctx context.Context) error {
	if err := u.w.changeAtProvider(ctx, "user.deleted", u.gone); err != nil {
		return err
	}
	return u.tell(ctx, u.gone, "user.deleted", nameOf)
}

func (u *unrest) tell(ctx context.Context, ids []string, kind string, name func(string) string) error {
	batch, err := u.w.about(ids, kind, u.renamed, name)
	if err != nil {
		return err
	}
	u.news += len(batch)
	batch = u.faults.draw(batch)
	for i, c := range contenders {
		if err := u.w.deliverMany(ctx, c, batch); err != nil {
			return err
		}
		if _, err := u.wrongNames(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// stragglers delivers what is late and counts what is wrong then.
func (u *unrest) stragglers(ctx context.Context) ([]harm, error) {
	found := make([]harm, len(contenders))
	for i, c := range contenders {
		for _, d := range u.faults.late { // a user's in their order
			if err := u.w.deliver(ctx, c, d); err != nil {
				return nil, err
			}
		}
		if c.archetype == report.Federated {
			if err := u.w.published(ctx); err != nil {
				return nil, err
			}
		}
		h, err := u.wrongNames(ctx, i)
		if err != nil {
			return nil, err
		}
		found[i], u.latest = h, time.Since(u.renamed)
		if i == 0 {
			u.earliest = u.latest
		}
	}
	for i, c := range contenders {
		if c.archetype == report.Federated {
			if err := u.w.erased(ctx); err != nil {
				return nil, err
			}
		}
		if err := u.undead(ctx, i, &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// repaired measures the repair, and what is wrong after it.
func (u *unrest) repaired(ctx context.Context) ([]report.Measure, error) {
	took := report.Measure{Name: "the repair takes", Unit: report.Milliseconds, Bars: bars()}
	found := make([]harm, len(contenders))
	for i, c := range contenders {
		begun := time.Now()
		if err := u.w.repair(ctx, c, u.gone); err != nil {
			return nil, err
		}
		took.Bars[i].Values = []float64{ms(time.Since(begun))}
		var err error
		if found[i], err = u.wrongNames(ctx, i); err != nil {
			return nil, err
		}
	}
	// The harness has repaired the tables like another replica: a service trusts
	// for a while what it has read.
	trusted, err := preset(users.Config{}, "Cache")
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Until(u.tried.Add(trusted))):
	}
	for i := range contenders {
		if err := u.undead(ctx, i, &found[i]); err != nil {
			return nil, err
		}
	}
	return append([]report.Measure{took}, counted("after the repair: ", found)...), nil
}

// undead counts what there still is of the users who are gone.
func (u *unrest) undead(ctx context.Context, i int, h *harm) error {
	r, err := u.w.remains(ctx, contenders[i], u.gone)
	if err != nil {
		return err
	}
	h.zombies, h.orphans = r.users, int(r.rows)
	if c := contenders[i]; c.archetype == report.Shadow { // the user's own row refers to nobody
		missing, err := u.w.missing(ctx, c, u.gone)
		if err != nil {
			return err
		}
		h.orphans -= len(c.databases)*len(u.gone) - missing
	}
	h.admitted, err = u.w.admitted(ctx, contenders[i], faultsTenant, u.gone)
	u.tried = time.Now()
	return err
}

// wrongNames reads all pages and counts the orders of those who stay that show
// another name than the provider's, and of those who are gone that show any.
func (u *unrest) wrongNames(ctx context.Context, i int) (h harm, err error) {
	for cursor := ""; ; {
		query := "limit=100"
		if cursor != "" {
			query += "&cursor=" + cursor
		}
		p, _, err := u.listers[i].get(ctx, faultsTenant, query)
		if err != nil {
			return h, err
		}
		for _, o := range p.Orders {
			want, stays := u.names[o.UserID]
			switch {
			case stays && (o.Customer == nil || o.Customer.Name != want):
				h.names++
			case !stays && o.Customer != nil && o.Customer.Name != "" && !o.Customer.Erased:
				h.remembered++
			}
		}
		if cursor = p.NextCursor; cursor == "" {
			return h, nil
		}
	}
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

// published waits until the relay has published all its events.
func (w *world) published(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; {
		var waiting bool
		err := w.pools[devstack.IdentityRelay].QueryRow(ctx, `SELECT EXISTS (SELECT FROM events WHERE stream_sequence IS NULL)`).Scan(&waiting)
		switch {
		case err != nil:
			return fmt.Errorf("look for unpublished events: %w", err)
		case !waiting:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("events are not published after %s", patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// missing counts users without a row, over a contender's tables of users.
func (w *world) missing(ctx context.Context, c contender, ids []string) (sum int, err error) {
	for _, service := range c.databases {
		var there int
		if err := w.pools[service].QueryRow(ctx, `SELECT count(*) FROM users WHERE id = ANY($1)`, ids).Scan(&there); err != nil {
			return 0, err
		}
		sum += len(ids) - there
	}
	return sum, nil
}
