package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/compare/report"
)

// slowBy is how much later the identity provider answers when it is slow.
const slowBy = 200 * time.Millisecond

// lister reads pages of a tenant's orders as its staff.
type lister struct {
	w      *world
	c      contender
	tokens map[string]string
}

func (w *world) lister(c contender) *lister { return &lister{w: w, c: c, tokens: map[string]string{}} }

// page is what the route answers, as far as it is looked at.
type page struct {
	Orders []struct {
		UserID   string `json:"user_id"`
		Customer *struct {
			Name   string `json:"name"`
			Erased bool   `json:"erased"`
		} `json:"customer"`
	} `json:"orders"`
	NextCursor string `json:"next_cursor"`
}

func (l *lister) token(ctx context.Context, tenant string) (string, error) {
	if token := l.tokens[tenant]; token != "" {
		return token, nil
	}
	if err := l.w.register(ctx, "staff_of_"+tenant); err != nil {
		return "", err
	}
	token, err := l.w.signer.token("staff_of_"+tenant, tenant, staff, l.c.archetype == report.Shadow)
	if err != nil {
		return "", err
	}
	// The first request of a token pays for its signature, and where there is a
	// table of users for the staff's own row.
	_, err = l.w.call(ctx, http.MethodGet, l.w.urls[l.c.orders]+"/v1/orders?limit=1", token, nil, http.StatusOK)
	l.tokens[tenant] = token
	return token, err
}

func (l *lister) get(ctx context.Context, tenant, query string) (p page, took time.Duration, err error) {
	token, err := l.token(ctx, tenant)
	if err != nil {
		return p, 0, err
	}
	begun := time.Now()
	raw, err := l.w.call(ctx, http.MethodGet, l.w.urls[l.c.orders]+"/v1/tenant/orders?"+query, token, nil, http.StatusOK)
	took = time.Since(begun)
	if err != nil {
		return p, took, err
	}
	return p, took, json.Unmarshal(raw, &p)
}

// named lists one page and wants every name on it.
func (l *lister) named(ctx context.Context, tenant string) (time.Duration, error) {
	p, took, err := l.get(ctx, tenant, fmt.Sprintf("limit=%d", pageOrders))
	if err != nil {
		return 0, err
	}
	if len(p.Orders) != pageOrders {
		return 0, fmt.Errorf("the page has %d orders", len(p.Orders))
	}
	for _, o := range p.Orders {
		if o.Customer == nil || o.Customer.Name != nameOf(o.UserID) {
			return 0, fmt.Errorf("an order of %s shows the customer %+v", o.UserID, o.Customer)
		}
	}
	return took, nil
}

// Lines of the curve.
const (
	joined = iota
	warm
	cold
	slow
	joinedInOne
	lines
)

// names measures pages of orders with the names of who placed them.
func names(ctx context.Context, w *world) (report.Section, error) { //nolint:gocognit // a scenario is read from top to bottom
	section := report.Section{
		Title: "Orders with display names", Question: "A JOIN, or asking somebody: what does a page of 50 orders with its customers' names cost?",
		Method: []string{
			"GET /v1/tenant/orders?limit=50 by staff, one request at a time. The shadow archetype joins; the other asks the directory for those names that are not in its memory, all in one call.",
			fmt.Sprintf("Warm: all names were asked for before. Cold: no name was. Slow: cold, and the provider answers each request %s later, which is simulated on the connection.", slowBy),
			fmt.Sprintf("Of %d requests a run when warm, %d when cold and %d when slow, the median counts. Each cold page is of users whom nobody has asked for.", w.Samples, w.coldSamples(), w.slowSamples()),
		},
	}
	curve := report.Curve{
		Title: "A page of 50 orders over how many users it is of", X: "users on the page", Y: "half of the requests within", Unit: report.Milliseconds, LogX: true, LogY: true,
		Series: []report.Line{
			joined: {Label: "shadow: JOIN", Archetype: report.Shadow}, warm: {Label: "directory, warm", Archetype: report.Federated},
			cold: {Label: "directory, cold", Archetype: report.Federated}, slow: {Label: "directory, cold and slow", Archetype: report.Federated},
			joinedInOne: {Label: report.OneDatabase, Archetype: report.Shadow},
		},
	}
	values := map[int]map[int][]float64{}
	for line := range lines {
		values[line] = map[int][]float64{}
	}
	listers := make([]*lister, len(contenders))
	for i, c := range contenders {
		listers[i] = w.lister(c)
	}
	for _, users := range pageUsers {
		err := w.inTurns(ctx, func(_, i int, c contender) error {
			note := func(line, samples int, tenant func() string) error {
				var took []time.Duration
				for range samples {
					t := tenant()
					if _, err := listers[i].token(ctx, t); err != nil {
						return err
					}
					d, err := listers[i].named(ctx, t)
					if err != nil {
						return err
					}
					took = append(took, d)
				}
				values[line][users] = append(values[line][users], latencyOf(took).p50)
				return nil
			}
			always := func() string { return w.shop.warm[users] }
			fresh := func() string { return w.shop.takeCold(users) }
			if _, err := listers[i].named(ctx, always()); err != nil {
				return err
			}
			if c.archetype == report.Shadow {
				return note(map[bool]int{true: joinedInOne, false: joined}[c.orders == oneOrders], w.Samples, always)
			}
			if err := note(warm, w.Samples, always); err != nil {
				return err
			}
			if err := note(cold, w.coldSamples(), fresh); err != nil {
				return err
			}
			w.slow.set(slowBy)
			defer w.slow.set(0)
			return note(slow, w.slowSamples(), fresh)
		})
		if err != nil {
			return section, err
		}
	}
	for line := range curve.Series {
		for _, users := range pageUsers {
			curve.Series[line].Points = append(curve.Series[line].Points, report.Point{X: float64(users), Values: values[line][users]})
		}
	}
	section.Curves = []report.Curve{curve}
	most := pageUsers[len(pageUsers)-1]
	m := report.Measure{Name: fmt.Sprintf("50 orders of %d users with their names", most), Unit: report.Milliseconds}
	for _, line := range curve.Series {
		m.Bars = append(m.Bars, report.Bar{Label: line.Label, Archetype: line.Archetype, Values: line.Points[len(line.Points)-1].Values})
	}
	section.Measures = []report.Measure{m}
	return section, nil
}
