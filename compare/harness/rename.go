package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

// tell delivers to every receiver of a contender side by side, as the provider does.
func (w *world) tell(ctx context.Context, c contender, kind string, data map[string]any) error {
	d, err := w.webhooks.sign(kind, data)
	if err != nil {
		return err
	}
	return w.deliver(ctx, c, d)
}

func (w *world) deliver(ctx context.Context, c contender, d delivery) error {
	failures := make([]error, len(c.receivers))
	var done sync.WaitGroup
	for i, receiver := range c.receivers {
		done.Go(func() { failures[i] = w.webhooks.send(ctx, w.urls[receiver], d) })
	}
	done.Wait()
	return errors.Join(failures...)
}

// rename at the provider: its row changes, then its webhooks go out.
func (w *world) renameAtProvider(ctx context.Context, userID, name string) (time.Time, error) {
	var at time.Time
	err := w.pools[devstack.DevIDP].QueryRow(ctx, `UPDATE users SET name = $2, updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at`, userID, name).Scan(&at)
	if err != nil {
		return at, fmt.Errorf("rename at the provider: %w", err)
	}
	return at, nil
}

// shown is the name that staff see over a user's orders.
func (w *world) shown(ctx context.Context, c contender, token, userID string) (string, error) {
	raw, err := w.call(ctx, http.MethodGet, ordersOf(w.urls[c.orders], userID)+"?limit=1", token, nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	var answer struct {
		Customer struct {
			Name string `json:"name"`
		} `json:"customer"`
	}
	return answer.Customer.Name, json.Unmarshal(raw, &answer)
}

// renames measures how long the old name is shown.
func renames(ctx context.Context, w *world) (report.Section, error) { //nolint:gocognit // a scenario is read from top to bottom
	section := report.Section{
		Title: "A user is renamed", Question: "For how long is the old name shown, and by whom?",
		Method: []string{
			"The name is changed in the provider's database; then its webhook goes to whoever receives it. The time runs from the change to the first page with the new name, which is asked for without a pause.",
			"In the federated archetype the webhook becomes an event, which makes orders ask the directory again.",
			"What a lost webhook leaves behind is computed from the settings' defaults, for the same time between two reconciliations in both: that is a setting and not an archetype. The directory's minute is measured under “Webhooks that are lost, repeated and late”.",
		},
	}
	took := bars()
	tokens := make([]string, len(contenders))
	if err := w.register(ctx, "staff_renames"); err != nil {
		return section, err
	}
	for i, c := range contenders {
		var err error
		if tokens[i], err = w.signer.token("staff_renames", tenant, staff, c.archetype == report.Shadow); err != nil {
			return section, err
		}
	}
	err := w.inTurns(ctx, func(run, i int, c contender) error {
		var each []time.Duration
		for n := range w.Samples {
			user := userID(w.pick(300 + n))
			name := fmt.Sprintf("Renamed %d by %d in run %d", n, i, run)
			if _, err := w.shown(ctx, c, tokens[i], user); err != nil { // fill the memory
				return err
			}
			begun := time.Now()
			at, err := w.renameAtProvider(ctx, user, name)
			if err != nil {
				return err
			}
			if err := w.tell(ctx, c, "user.updated", profile(user, name, at)); err != nil {
				return err
			}
			for {
				shown, err := w.shown(ctx, c, tokens[i], user)
				if err != nil {
					return err
				}
				if shown == name {
					break
				}
				if time.Since(begun) > patience {
					return fmt.Errorf("the name is still %q", shown)
				}
			}
			each = append(each, time.Since(begun))
		}
		took[i].Values = append(took[i].Values, latencyOf(each).p50)
		return nil
	})
	section.Measures = []report.Measure{{Name: "until a page shows the new name", Unit: report.Milliseconds, Bars: took}}
	if err != nil {
		return section, err
	}
	lost, err := lostWebhooks()
	section.Tables = []report.Table{lost}
	return section, err
}

// pick keeps an index within the users there are.
func (w *world) pick(i int) int { return i % w.Users }
