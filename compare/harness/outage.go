package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

const (
	outageMinutes = 60
	outageTenant  = "outage" // whose customers' names nobody has asked for
)

// outage replays an hour without the identity provider, minute by minute.
func outage(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "The identity provider is down for an hour", Question: "Who notices, with tokens that are still valid?",
		Method: []string{
			"A replayed schedule: the provider's process is really ended, and what each of the 60 minutes would bring is done at once, one after the other; the hour itself is not waited for. What depends on time passing is not in it: whose token ends within the hour cannot get another one in either archetype.",
			"Each minute brings one order by a customer whose token is valid, one page of 50 orders whose names were shown before, one page of orders of 50 customers whose names were not, and one sign-in.",
			"Beyond what is replayed: names from before are shown for up to an hour without the provider (directory.ClientConfig.MaxStale, its default).",
		},
	}
	placed, known, unknown, signIns := bars(), bars(), bars(), bars()
	listers, tokens := make([]*lister, len(contenders)), make([]string, len(contenders))
	most := pageUsers[len(pageUsers)-1]
	for i, c := range contenders {
		listers[i] = w.lister(c)
		if _, err := listers[i].named(ctx, w.shop.warm[most]); err != nil {
			return section, err
		}
		if _, err := listers[i].token(ctx, outageTenant); err != nil {
			return section, err
		}
		var err error
		if _, tokens[i], err = w.takeWithToken(ctx, c); err != nil {
			return section, err
		}
	}
	w.services[devstack.DevIDP].Stop()
	for i, c := range contenders {
		var orders, before, fresh, in int
		for range outageMinutes {
			if w.place(ctx, w.urls[c.orders], tokens[i]) == nil {
				orders++
			}
			n, err := listers[i].namesOn(ctx, w.shop.warm[most])
			if err != nil {
				return section, err
			}
			before += n
			if n, err = listers[i].namesOn(ctx, outageTenant); err != nil {
				return section, err
			}
			fresh += n
			if w.signInAnswered(ctx) {
				in++
			}
		}
		placed[i].Values, signIns[i].Values = []float64{float64(orders)}, []float64{float64(in)}
		known[i].Values, unknown[i].Values = []float64{float64(before) / pageOrders}, []float64{float64(fresh) / pageOrders}
	}
	environ, err := w.environ(devstack.DevIDP)
	if err == nil {
		err = w.serve(devstack.DevIDP, w.urls[devstack.DevIDP], environ)
	}
	if err == nil {
		err = w.ready(ctx, devstack.DevIDP)
	}
	of := fmt.Sprintf(", of %d", outageMinutes)
	section.Measures = []report.Measure{
		{Name: "orders that were taken" + of, Unit: report.Count, Bars: placed, MoreIsBetter: true},
		{Name: "pages with names that were shown before" + of, Unit: report.Count, Bars: known, MoreIsBetter: true},
		{Name: "pages with names that were never shown" + of, Unit: report.Count, Bars: unknown, MoreIsBetter: true},
		{Name: "sign-ins that were answered" + of, Unit: report.Count, Bars: signIns, MoreIsBetter: true},
	}
	return section, err
}

// namesOn counts the orders of a page that show a name.
func (l *lister) namesOn(ctx context.Context, tenant string) (n int, err error) {
	p, _, err := l.get(ctx, tenant, fmt.Sprintf("limit=%d", pageOrders))
	for _, o := range p.Orders {
		if o.Customer != nil && o.Customer.Name != "" {
			n++
		}
	}
	return n, err
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
