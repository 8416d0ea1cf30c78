package harness

import (
	"context"
	"fmt"
	"net/http"

	"github.com/shadowless/shadowless/compare/report"
)

// used is what a token got out of some attempts.
type used struct{ reads, orders, invoices int }

// useToken tries one thing after another, each as often.
func (w *world) useToken(ctx context.Context, c contender, token string, attempts int) (u used, err error) {
	orders, invoices := w.urls[c.orders]+"/v1/orders", w.urls[c.billing]+"/v1/invoices"
	for range attempts {
		for _, try := range []struct {
			method, url string
			body        any
			want        int
			got         *int
		}{
			{http.MethodGet, orders, nil, http.StatusOK, &u.reads},
			{http.MethodPost, orders, wish, http.StatusCreated, &u.orders},
			{http.MethodGet, invoices, nil, http.StatusOK, &u.invoices},
		} {
			status, _, err := w.try(ctx, try.method, try.url, token, try.body)
			if err != nil {
				return u, err
			}
			if status == try.want {
				*try.got++
			}
		}
	}
	return u, nil
}

// zombies measures what a deleted user can still do with a token that lives.
func zombies(ctx context.Context, w *world) (report.Section, error) {
	const attempts = 50
	section := report.Section{
		Title: "Deleted, with a live token", Question: "What can somebody still do whose account is gone and whose token is not?",
		Method: []string{
			fmt.Sprintf("At once when the provider's webhook is answered the user's token is tried, %d times one after another: their own orders are read, one is placed, and their invoices are read at billing. In the federated archetype the answer says that the relay knows it; the replicas hear of it after that, and what they let through until then is counted. Tokens live for two hours here.", attempts),
			"In one database for all, only orders gets the webhook: billing trusts a user's row that it has read for 5 s (SHADOW_USER_CACHE), and answers as long.",
			"The rows are counted when the federated archetype's erasure is complete; invoices that its manifest keeps by law are none of them.",
			"Without tombstones, which many such tables lack, just-in-time provisioning takes the token for a new user.",
		},
	}
	read, placed, invoices, rows := bars(), bars(), bars(), bars()
	try := func(i int, c contender) error {
		id, token, err := w.takeWithToken(ctx, c)
		if err != nil {
			return err
		}
		if err := w.changeAtProvider(ctx, "user.deleted", []string{id}); err != nil {
			return err
		}
		if err := w.tell(ctx, c, "user.deleted", map[string]any{"id": id}); err != nil {
			return err
		}
		got, err := w.useToken(ctx, c, token, attempts)
		if err != nil {
			return err
		}
		if c.archetype == report.Federated {
			if err := w.erased(ctx); err != nil {
				return err
			}
		}
		left, err := w.remains(ctx, c, []string{id})
		read[i].Values, placed[i].Values = append(read[i].Values, float64(got.reads)), append(placed[i].Values, float64(got.orders))
		invoices[i].Values, rows[i].Values = append(invoices[i].Values, float64(got.invoices)), append(rows[i].Values, float64(left.rows))
		return err
	}
	if err := w.inTurns(ctx, func(_, i int, c contender) error { return try(i, c) }); err != nil {
		return section, err
	}
	bare := contenders[len(contenders)-1]
	for _, bar := range []*[]report.Bar{&read, &placed, &invoices, &rows} {
		*bar = append(*bar, report.Bar{Label: "shadow, without tombstones", Archetype: report.Shadow})
	}
	if err := w.restartOne(ctx, "SHADOW_TOMBSTONES=false"); err != nil {
		return section, err
	}
	for range w.Runs {
		if err := try(len(contenders), bare); err != nil {
			return section, err
		}
	}
	if err := w.restartOne(ctx, "SHADOW_TOMBSTONES=true"); err != nil {
		return section, err
	}
	section.Measures = []report.Measure{
		{Name: fmt.Sprintf("reads that orders answered, of %d", attempts), Unit: report.Count, Bars: read},
		{Name: fmt.Sprintf("orders that were taken, of %d", attempts), Unit: report.Count, Bars: placed},
		{Name: fmt.Sprintf("reads that billing answered, of %d", attempts), Unit: report.Count, Bars: invoices},
		{Name: "rows of a user who does not exist", Unit: report.Count, Bars: rows},
	}
	return section, nil
}
