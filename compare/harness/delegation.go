package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

var errNotAllowed = errors.New("the identity provider does not allow what it was asked about")

// delegate asks the identity provider whether the token's user may read an order.
func (w *world) delegate(ctx context.Context, s shopper) error {
	raw, err := w.call(ctx, http.MethodPost, w.urls[devstack.DevIDP]+"/api/auth/check-permission", s.token, map[string]any{
		"entityType": "client_shop:order", "entityId": s.order.ID.String(), "permission": "read",
	}, http.StatusOK)
	if err != nil {
		return err
	}
	var answer struct {
		Allowed bool `json:"allowed"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	if !answer.Allowed {
		return errNotAllowed
	}
	return nil
}

// delegations measures both ways to decide, in both archetypes.
func delegations(ctx context.Context, w *world) (report.Section, error) {
	const attempts = 20
	section := report.Section{
		Title: "Own rules or full delegation", Question: "What does it cost to ask the identity provider about every request, and what when it is down?",
		Method: []string{
			"Reading an order, decided by the service's own rules from the token; and the same after a check-permission of the development identity provider (as its documentation promises it), over a kept connection. The provider shares the machine, so a real network would add to it.",
			"The question is asked by the load, before each request that is allowed, and not by a service: the provider's CPU is in the numbers, what a service would spend on asking is not.",
			fmt.Sprintf("Down: the provider's process is ended, and %d requests are made. That a request which must be asked about first is then not answered is so by construction: the load asks, and makes no request that nobody allowed.", attempts),
		},
	}
	base := contenders[:2]
	shoppers := make([][]shopper, len(base))
	var p50, p99, cpu, down []report.Bar
	for i, c := range base {
		var err error
		if shoppers[i], err = w.grantedShoppers(ctx, c, 20); err != nil {
			return section, err
		}
		for _, how := range []string{"own rules", "full delegation"} {
			bar := report.Bar{Label: map[report.Archetype]string{report.Shadow: "shadow", report.Federated: "federated"}[c.archetype] + " × " + how, Archetype: c.archetype}
			p50, p99, cpu, down = append(p50, bar), append(p99, bar), append(cpu, bar), append(down, bar)
		}
	}
	read := func(ctx context.Context, i, n int, delegated bool) error {
		s := shoppers[i][n%len(shoppers[i])]
		if delegated {
			if err := w.delegate(ctx, s); err != nil {
				return err
			}
		}
		_, err := w.call(ctx, http.MethodGet, w.urls[base[i].orders]+"/v1/orders/"+s.order.ID.String(), s.token, nil, http.StatusOK)
		return err
	}
	for run := range w.Runs {
		for turn := range p50 {
			at := (turn + run) % len(p50)
			i, delegated := at/2, at%2 == 1
			got, each, err := w.load(ctx, base[i], func(ctx context.Context, n int) error { return read(ctx, i, n, delegated) })
			if err != nil {
				return section, err
			}
			p50[at].Values, p99[at].Values = append(p50[at].Values, got.p50), append(p99[at].Values, got.p99)
			cpu[at].Values = append(cpu[at].Values, each)
		}
	}
	w.services[devstack.DevIDP].Stop()
	for at := range down {
		answered := 0
		for n := range attempts {
			if read(ctx, at/2, n, at%2 == 1) == nil {
				answered++
			}
		}
		down[at].Values = []float64{float64(answered)}
	}
	environ, err := w.environ(devstack.DevIDP)
	if err == nil {
		err = w.serve(devstack.DevIDP, w.urls[devstack.DevIDP], environ)
	}
	if err == nil {
		err = w.ready(ctx, devstack.DevIDP)
	}
	section.Measures = []report.Measure{
		{Name: "reading an order: half of the requests within", Unit: report.Milliseconds, Bars: p50},
		{Name: "reading an order: 99 of 100 within", Unit: report.Milliseconds, Bars: p99},
		{Name: "reading an order: CPU of one, the provider's with it", Unit: report.Milliseconds, Bars: cpu},
		{Name: fmt.Sprintf("answered while the provider is down, of %d (by construction)", attempts), Unit: report.Count, Bars: down, MoreIsBetter: true},
	}
	return section, err
}

// grantedShoppers are users whom the provider can be asked about: it has their
// grants, and the sessions that their tokens name.
func (w *world) grantedShoppers(ctx context.Context, c contender, n int) ([]shopper, error) {
	list, err := w.shoppers(ctx, c, n)
	if err != nil {
		return nil, err
	}
	for i := range list {
		id, session := userID(i), fmt.Sprintf("session_%s_%d", c.orders, i)
		_, err := w.pools[devstack.DevIDP].Exec(ctx, `INSERT INTO sessions (id, token, user_id, expires_at, created_at, updated_at, ip_address, user_agent)
			VALUES ($1, $1, $2, now() + interval '1 day', $3, $3, '', '')`, session, id, time.Now())
		if err == nil {
			_, err = w.pools[devstack.DevIDP].Exec(ctx, `INSERT INTO grants (tuple_id, subject_type, subject_id, entity_type, entity_id, relation, tenant_id, created_at)
				VALUES ($1, 'user', $2, 'client_shop:order', '*', 'customer', 'acme', now()) ON CONFLICT DO NOTHING`, "grant_"+session, id)
		}
		if err != nil {
			return nil, fmt.Errorf("grant: %w", err)
		}
		if list[i].token, err = w.signer.session(id, tenant, session, customer, c.archetype == report.Shadow); err != nil {
			return nil, err
		}
	}
	return list, nil
}
