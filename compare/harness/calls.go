package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/services/orders/api"
)

const callers = 4 // at once

// shopper is a user with a token and an order.
type shopper struct {
	token string
	order api.Order
}

// calls measures the three calls that customers make.
func calls(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "The calls that customers make", Question: "What does a request cost when nothing happens to anybody's identity?",
		Method: []string{
			fmt.Sprintf("%d callers at once, each request as soon as the one before is answered, %s a run, after a request of each user; 200 users whose tokens are known.", callers, w.Lasting),
			"Placing an order makes its invoice at billing, with a token on the user's behalf, in both archetypes.",
			"CPU is that of orders, billing, identity-relay, token-exchange, the provider and Postgres together, divided by the requests; the load's own is not in it. It is counted in ticks of 10 ms.",
			"The shadow archetype's tokens carry the user's name and e-mail address, from which it fills its rows; the federated one's do not, as it has no use for them. That is about 100 bytes more to read and to verify in each request.",
			"Both verify tokens with the same code. The shadow archetype looks at the user's row before it writes, and trusts what it read for 5 s.",
		},
	}
	shoppers := make([][]shopper, len(contenders))
	for i, c := range contenders {
		var err error
		if shoppers[i], err = w.shoppers(ctx, c, min(200, w.Users)); err != nil {
			return section, err
		}
	}
	for _, call := range []struct {
		name string
		do   func(ctx context.Context, base string, s shopper) error
	}{
		{"placing an order", func(ctx context.Context, base string, s shopper) error { return w.place(ctx, base, s.token) }},
		{"reading an order", func(ctx context.Context, base string, s shopper) error {
			_, err := w.call(ctx, http.MethodGet, base+"/v1/orders/"+s.order.ID.String(), s.token, nil, http.StatusOK)
			return err
		}},
		{"listing one's orders", func(ctx context.Context, base string, s shopper) error {
			_, err := w.call(ctx, http.MethodGet, base+"/v1/orders?limit=20", s.token, nil, http.StatusOK)
			return err
		}},
	} {
		p50, p99, cpu := bars(), bars(), bars()
		err := w.inTurns(ctx, func(_, i int, c contender) error {
			got, each, err := w.load(ctx, c, func(ctx context.Context, n int) error {
				return call.do(ctx, w.urls[c.orders], shoppers[i][n%len(shoppers[i])])
			})
			p50[i].Values, p99[i].Values = append(p50[i].Values, got.p50), append(p99[i].Values, got.p99)
			cpu[i].Values = append(cpu[i].Values, each)
			return err
		})
		if err != nil {
			return section, err
		}
		section.Measures = append(section.Measures,
			report.Measure{Name: call.name + ": half of the requests within", Unit: report.Milliseconds, Bars: p50},
			report.Measure{Name: call.name + ": 99 of 100 within", Unit: report.Milliseconds, Bars: p99},
			report.Measure{Name: call.name + ": CPU of one", Unit: report.Milliseconds, Bars: cpu},
		)
	}
	return section, nil
}

// shoppers place an order each, which also makes everything warm.
func (w *world) shoppers(ctx context.Context, c contender, n int) ([]shopper, error) {
	list := make([]shopper, n)
	_, err := measure.Full(ctx, callers, n, patience, func(ctx context.Context, i int, _ time.Time) error {
		token, err := w.signer.token(userID(i), tenant, customer, c.archetype == report.Shadow)
		if err != nil {
			return err
		}
		raw, err := w.call(ctx, http.MethodPost, w.urls[c.orders]+"/v1/orders", token, wish, http.StatusCreated)
		if err != nil {
			return err
		}
		list[i].token = token
		return json.Unmarshal(raw, &list[i].order)
	})
	return list, err
}

// load runs one call as fast as the callers are answered, and returns its
// latency and what each cost in milliseconds of CPU. It begins when nothing is
// left to do of what was before.
func (w *world) load(ctx context.Context, c contender, do func(ctx context.Context, i int) error) (latency, float64, error) {
	if _, err := w.settled(ctx); err != nil {
		return latency{}, 0, err
	}
	before, err := w.cpu(c)
	if err != nil {
		return latency{}, 0, err
	}
	var mu sync.Mutex
	var took []time.Duration
	n, err := measure.Full(ctx, callers, 1_000_000, w.Lasting, func(ctx context.Context, i int, _ time.Time) error {
		begun := time.Now()
		err := do(ctx, i)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begun))
		return err
	})
	if err != nil {
		return latency{}, 0, err
	}
	after, err := w.cpu(c)
	return latencyOf(took), ms(after-before) / float64(n), err
}
