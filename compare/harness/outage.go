package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

const (
	outageMinutes = 60
	outageTenant  = "outage" // whose customers' names nobody has asked for
	// afterFailure is a little longer than the directory's client asks nothing after
	// a failure (directory.ClientConfig.RetryAfter, its default of 1 s).
	afterFailure = 1100 * time.Millisecond
)

// outage replays an hour without the identity provider, minute by minute.
func outage(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "The identity provider is down for an hour, replayed", Question: "Who notices, with tokens that are still valid?",
		Method: []string{
			"A replayed schedule: the provider's process is really ended, and what each of the 60 minutes would bring is done at once, one after the other; the hour itself is not waited for. What depends on time passing is not in it: whose token ends within the hour cannot get another one in either archetype.",
			"Each minute brings one order by a customer whose token is valid, one page of 50 orders whose names were shown before, one page of orders of 50 customers whose names were not, and one sign-in. Names that were shown before have been marked as changed, as after more than a minute: the directory's client would ask again, and shows them although nobody answers.",
			fmt.Sprintf("How long a page takes is measured apart (runs: %d), and not within the second after a failure in which the directory's client asks nothing: %s are waited for before. First with the provider's directory hanging, which takes the request and answers nothing (simulated on the connection), then with the provider ended, so that connections are refused. Orders waits half a second for names and then shows the page without those that did not come.", w.outagePages(), afterFailure),
			"Beyond what is replayed: names from before are shown for up to an hour without the provider (directory.ClientConfig.MaxStale, its default).",
		},
	}
	visitors, err := w.visitors(ctx)
	if err != nil {
		return section, err
	}
	w.slow.set(hanging)
	hung, err := visitors.pages(ctx, "the provider hangs")
	w.slow.set(0)
	if err != nil {
		return section, err
	}
	w.services[devstack.DevIDP].Stop()
	refused, err := visitors.pages(ctx, "the provider is down")
	if err != nil {
		return section, err
	}
	hour, err := visitors.hour(ctx)
	if err != nil {
		return section, err
	}
	environ, err := w.environ(devstack.DevIDP)
	if err == nil {
		err = w.serve(devstack.DevIDP, w.urls[devstack.DevIDP], environ)
	}
	if err == nil {
		err = w.ready(ctx, devstack.DevIDP)
	}
	section.Measures = slices.Concat(hour, refused, hung)
	return section, err
}

// outagePages is how often it is measured how long a page takes meanwhile: a
// hanging provider makes each wait for seconds.
func (w *world) outagePages() int {
	if w.Quick {
		return 1
	}
	return min(5, w.Runs)
}

// visitors come while the provider is down: of each contender staff and a customer.
type visitors struct {
	w       *world
	listers []*lister
	tokens  []string
}

// warmTenant is the one of whose customers all names were shown before.
func (w *world) warmTenant() string { return w.shop.warm[pageUsers[len(pageUsers)-1]] }

// visitors see the names that are shown before the outage, which then get old.
func (w *world) visitors(ctx context.Context) (*visitors, error) {
	v := &visitors{w: w, tokens: make([]string, len(contenders))}
	for i, c := range contenders {
		l := w.lister(c)
		v.listers = append(v.listers, l)
		if _, err := l.named(ctx, w.warmTenant()); err != nil {
			return nil, err
		}
		if _, err := l.token(ctx, outageTenant); err != nil {
			return nil, err
		}
		var err error
		if _, v.tokens[i], err = w.takeWithToken(ctx, c); err != nil {
			return nil, err
		}
		p, _, err := l.get(ctx, w.warmTenant(), fmt.Sprintf("limit=%d", pageOrders))
		if err != nil {
			return nil, err
		}
		for _, o := range p.Orders {
			if err := w.tell(ctx, c, "user.updated", profile(o.UserID, nameOf(o.UserID), time.Now())); err != nil {
				return nil, err
			}
		}
	}
	_, err := w.settled(ctx) // the events have arrived
	return v, err
}

// hour is what its minutes bring.
func (v *visitors) hour(ctx context.Context) ([]report.Measure, error) {
	placed, known, unknown, signIns := bars(), bars(), bars(), bars()
	for i, c := range contenders {
		var orders, before, fresh, in int
		for range outageMinutes {
			if v.w.place(ctx, v.w.urls[c.orders], v.tokens[i]) == nil {
				orders++
			}
			n, _, err := v.listers[i].namesOn(ctx, v.w.warmTenant())
			if err != nil {
				return nil, err
			}
			before += n
			if n, _, err = v.listers[i].namesOn(ctx, outageTenant); err != nil {
				return nil, err
			}
			fresh += n
			if v.w.signInAnswered(ctx) {
				in++
			}
		}
		placed[i].Values, signIns[i].Values = []float64{float64(orders)}, []float64{float64(in)}
		known[i].Values, unknown[i].Values = []float64{float64(before) / pageOrders}, []float64{float64(fresh) / pageOrders}
	}
	of := fmt.Sprintf(", of %d", outageMinutes)
	return []report.Measure{
		{Name: "orders that were taken" + of, Unit: report.Count, Bars: placed, MoreIsBetter: true},
		{Name: "pages with names that were shown before" + of, Unit: report.Count, Bars: known, MoreIsBetter: true},
		{Name: "pages with names that were never shown" + of, Unit: report.Count, Bars: unknown, MoreIsBetter: true},
		{Name: "sign-ins that were answered" + of, Unit: report.Count, Bars: signIns, MoreIsBetter: true},
	}, nil
}

// pages measures how long a page takes while nobody answers, with names that were
// shown before and with others. Every name from before is wanted on it.
func (v *visitors) pages(ctx context.Context, when string) ([]report.Measure, error) {
	known, unknown := bars(), bars()
	for range v.w.outagePages() {
		for i := range contenders {
			for tenant, into := range map[string]*report.Bar{v.w.warmTenant(): &known[i], outageTenant: &unknown[i]} {
				if v.listers[i].c.archetype == report.Federated {
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(afterFailure):
					}
				}
				n, took, err := v.listers[i].namesOn(ctx, tenant)
				if err != nil {
					return nil, err
				}
				if tenant != outageTenant && n != pageOrders {
					return nil, fmt.Errorf("%s: of %d names that were shown before %d are", when, pageOrders, n)
				}
				into.Values = append(into.Values, ms(took))
			}
		}
	}
	return []report.Measure{
		{Name: when + ": a page with names that were shown before", Unit: report.Milliseconds, Bars: known},
		{Name: when + ": a page with names that were never shown", Unit: report.Milliseconds, Bars: unknown},
	}, nil
}

// namesOn counts the orders of a page that show a name.
func (l *lister) namesOn(ctx context.Context, tenant string) (n int, took time.Duration, err error) {
	p, took, err := l.get(ctx, tenant, fmt.Sprintf("limit=%d", pageOrders))
	for _, o := range p.Orders {
		if o.Customer != nil && o.Customer.Name != "" {
			n++
		}
	}
	return n, took, err
}

// signInAnswered tries the demo's first user.
func (w *world) signInAnswered(ctx context.Context) bool {
	body, err := json.Marshal(map[string]string{"email": "alice@example.com", "password": "Passw0rd!alice"})
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, _, err := w.try(ctx, http.MethodPost, w.urls[devstack.DevIDP]+"/api/auth/sign-in/email", "", json.RawMessage(body))
	return err == nil && status == http.StatusOK
}
