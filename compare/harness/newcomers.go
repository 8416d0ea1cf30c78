package harness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shadowless/shadowless/compare/report"
)

// newcomers measures the first requests of users whom no service has seen.
func newcomers(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "First requests of new users", Question: fmt.Sprintf("%d people sign up and order at once: who waits, and for what?", w.Newcomers),
		Method: []string{
			fmt.Sprintf("%d users who are new to everybody place their first order at the same moment, each with a token of their own that nobody has seen.", w.Newcomers),
			"The shadow archetype makes their rows from the tokens' claims (just in time); no webhook has come yet. In both, token-exchange mints a token on each user's behalf for billing.",
		},
	}
	all, p50, p99 := bars(), bars(), bars()
	err := w.inTurns(ctx, func(run, i int, c contender) error {
		tokens, ids := make([]string, w.Newcomers), make([]string, w.Newcomers)
		for n := range tokens {
			ids[n] = fmt.Sprintf("new_%d_%d_%d", i, run, n)
			var err error
			if tokens[n], err = w.signer.token(ids[n], tenant, customer, c.archetype == report.Shadow); err != nil {
				return err
			}
		}
		if err := w.register(ctx, ids...); err != nil {
			return err
		}
		took, each, err := w.atOnce(ctx, tokens, func(ctx context.Context, token string) error { return w.place(ctx, w.urls[c.orders], token) })
		l := latencyOf(each)
		all[i].Values, p50[i].Values, p99[i].Values = append(all[i].Values, ms(took)), append(p50[i].Values, l.p50), append(p99[i].Values, l.p99)
		return err
	})
	section.Measures = []report.Measure{
		{Name: "until all first orders are placed", Unit: report.Milliseconds, Bars: all},
		{Name: "half of the first orders within", Unit: report.Milliseconds, Bars: p50},
		{Name: "99 of 100 first orders within", Unit: report.Milliseconds, Bars: p99},
	}
	return section, err
}

// atOnce calls do for every token at the same moment.
func (w *world) atOnce(ctx context.Context, tokens []string, do func(context.Context, string) error) (time.Duration, []time.Duration, error) {
	each, failures := make([]time.Duration, len(tokens)), make([]error, len(tokens))
	start := make(chan struct{})
	var done sync.WaitGroup
	for i, token := range tokens {
		done.Go(func() {
			<-start
			begun := time.Now()
			failures[i] = do(ctx, token)
			each[i] = time.Since(begun)
		})
	}
	begun := time.Now()
	close(start)
	done.Wait()
	took := time.Since(begun)
	for _, err := range failures {
		if err != nil {
			return took, each, err
		}
	}
	return took, each, nil
}
