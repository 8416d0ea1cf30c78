package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// take returns a user whom no other measurement has.
func (w *world) take() string {
	w.taken++
	return userID(w.Users - w.taken)
}

// takeWithToken returns one who has just made a request.
func (w *world) takeWithToken(ctx context.Context, c contender) (id, token string, err error) {
	id = w.take()
	if token, err = w.signer.token(id, tenant, customer, c.archetype == report.Shadow); err != nil {
		return id, "", err
	}
	return id, token, w.place(ctx, w.urls[c.orders], token)
}

// deleteEverywhere deletes a user at the provider and waits until the contender
// is done with it. It returns how long until the webhooks were answered, and
// until everything was done.
func (w *world) deleteEverywhere(ctx context.Context, c contender, id string) (answered, done time.Duration, err error) {
	if _, err := w.pools[devstack.DevIDP].Exec(ctx, `DELETE FROM users WHERE id = $1`, id); err != nil {
		return 0, 0, fmt.Errorf("delete at the provider: %w", err)
	}
	begun := time.Now()
	if err := w.tell(ctx, c, "user.deleted", map[string]any{"id": id}); err != nil {
		return 0, 0, err
	}
	answered = time.Since(begun)
	if c.archetype == report.Federated {
		err = w.erased(ctx)
	}
	return answered, time.Since(begun), err
}

// holding lists the columns of a database that hold user IDs by their name.
const holdingSQL = `SELECT format('SELECT count(*) FROM %I WHERE %I = $1', c.table_name, c.column_name)
	FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
	WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND (c.column_name = 'user_id' OR c.table_name = 'users' AND c.column_name = 'id')`

// bearing counts the rows that bear the user's ID in the services' databases.
func (w *world) bearing(ctx context.Context, c contender, id string) (sum int64, err error) {
	for _, service := range c.databases {
		if service == devstack.IdentityRelay {
			continue // it deletes the ID from its own record last; tests/e2e scan for that
		}
		n, err := bearingIn(ctx, w.pools[service], id)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func bearingIn(ctx context.Context, pool *pgxpool.Pool, id string) (sum int64, err error) {
	rows, err := pool.Query(ctx, holdingSQL)
	if err != nil {
		return 0, fmt.Errorf("find columns: %w", err)
	}
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("find columns: %w", err)
	}
	for _, query := range queries {
		var n int64
		if err := pool.QueryRow(ctx, query, id).Scan(&n); err != nil {
			return 0, fmt.Errorf("count rows of a user: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// kept counts the rows that the manifest of billing keeps by law, under the ID.
func (w *world) kept(ctx context.Context, c contender, id string) (n int64, err error) {
	if c.archetype != report.Federated {
		return 0, nil
	}
	err = w.pools[devstack.Billing].QueryRow(ctx, `SELECT count(*) FROM invoices WHERE user_id = $1`, id).Scan(&n)
	return n, err
}

// deletions measures how a user goes.
func deletions(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "A user is deleted", Question: "When is a deleted user gone everywhere, what is left, and who can prove it?",
		Method: []string{
			fmt.Sprintf("The user is deleted at the provider and its webhook delivered; the user has %d orders and invoices. %d users a run, one after another; the median counts.", w.OrdersEach+1, w.perRun()),
			"Gone is when both databases have committed; in the federated archetype when the erasure is complete, with a receipt of each service that counted again, and a certificate. Its grace period, by default 24 h in which a deletion can be undone, is 0 s here.",
			"The shadow archetype deletes orders by cascade and unnames invoices: a foreign key cannot keep the ID of a row that is gone. The federated one pseudonymises orders and keeps invoices under the ID, for as long as its manifest says the law wants them.",
		},
	}
	answered, gone, left := bars(), bars(), bars()
	err := w.inTurns(ctx, func(_, i int, c contender) error {
		var first, all []time.Duration
		var rows int64
		for range w.perRun() {
			id, _, err := w.takeWithToken(ctx, c)
			if err != nil {
				return err
			}
			a, g, err := w.deleteEverywhere(ctx, c, id)
			if err != nil {
				return err
			}
			first, all = append(first, a), append(all, g)
			if rows, err = w.bearing(ctx, c, id); err != nil {
				return err
			}
			kept, err := w.kept(ctx, c, id)
			if err != nil {
				return err
			}
			rows -= kept
		}
		answered[i].Values, gone[i].Values = append(answered[i].Values, latencyOf(first).p50), append(gone[i].Values, latencyOf(all).p50)
		left[i].Values = append(left[i].Values, float64(rows))
		return nil
	})
	if err != nil {
		return section, err
	}
	section.Measures = []report.Measure{
		{Name: "until the webhook is answered", Unit: report.Milliseconds, Bars: answered},
		{Name: "until gone everywhere", Unit: report.Milliseconds, Bars: gone},
		{Name: "rows that bear the user's ID without a reason", Unit: report.Count, Bars: left},
	}
	proof, err := w.proof(ctx)
	section.Tables = []report.Table{proof}
	return section, err
}

func (w *world) perRun() int { return max(1, w.Samples/8) }

// proof quotes what there is to show for the last erasure.
func (w *world) proof(ctx context.Context) (report.Table, error) {
	t := report.Table{Title: "What can be shown afterwards", Head: []string{"question", "shadow table", "federated IDs"}}
	operator, done, err := w.operator()
	if err != nil {
		return t, err
	}
	defer done()
	var id string
	err = w.pools[devstack.IdentityRelay].QueryRow(ctx, `SELECT id::text FROM erasures WHERE state = 'complete' ORDER BY completed_at DESC LIMIT 1`).Scan(&id)
	if err != nil {
		return t, fmt.Errorf("find an erasure: %w", err)
	}
	detail, err := operator.Erasure(ctx, id)
	if err != nil {
		return t, err
	}
	receipts, certificate := []string{}, "none"
	if len(detail.Certificate) > 0 {
		var c relayapi.Certificate
		if err := json.Unmarshal(detail.Certificate, &c); err != nil {
			return t, fmt.Errorf("read a certificate: %w", err)
		}
		certificate = fmt.Sprintf("a certificate, edition %d", c.Edition)
		for _, r := range c.Receipts {
			receipts = append(receipts, r.Participant)
		}
	}
	t.Rows = [][]string{
		{"that it was done", "the absence of a row, and a line in the log", certificate},
		{"by whom", "nobody answers", "receipts of " + strings.Join(receipts, ", ")},
		{"who has not done it yet", "not known: a lost webhook looks like no deletion", "listed as open, and late after an hour"},
		{"what still bears the user's ID", "nothing", "the invoices, kept by law under the ID until their retention ends; the manifest names the law"},
		{"whose invoices those were", "not known any more (ON DELETE SET NULL)", "known until the retention ends, then pseudonymised"},
	}
	return t, nil
}

// zombies measures what a deleted user can still do with a token that lives.
func zombies(ctx context.Context, w *world) (report.Section, error) { //nolint:gocognit // a scenario is read from top to bottom
	const attempts = 50
	section := report.Section{
		Title: "Deleted, with a live token", Question: "What can somebody still do whose account is gone and whose token is not?",
		Method: []string{
			fmt.Sprintf("Right after the webhook was answered the user's token is tried: %d reads of their own orders and %d orders, one after another. Tokens live for two hours here.", attempts, attempts),
			"Without tombstones, which many such tables lack, just-in-time provisioning takes the token for a new user.",
		},
	}
	read, placed, rows := bars(), bars(), bars()
	try := func(i int, c contender) error {
		id, token, err := w.takeWithToken(ctx, c)
		if err != nil {
			return err
		}
		if _, _, err := w.deleteEverywhere(ctx, c, id); err != nil {
			return err
		}
		left, err := w.bearing(ctx, c, id)
		if err != nil {
			return err
		}
		var reads, orders int
		for range attempts {
			status, _, err := w.try(ctx, http.MethodGet, w.urls[c.orders]+"/v1/orders", token, nil)
			if err != nil {
				return err
			}
			if status == http.StatusOK {
				reads++
			}
			if status, _, err = w.try(ctx, http.MethodPost, w.urls[c.orders]+"/v1/orders", token, wish); err != nil {
				return err
			}
			if status == http.StatusCreated {
				orders++
			}
		}
		after, err := w.bearing(ctx, c, id)
		read[i].Values, placed[i].Values = append(read[i].Values, float64(reads)), append(placed[i].Values, float64(orders))
		rows[i].Values = append(rows[i].Values, float64(after-left))
		return err
	}
	if err := w.inTurns(ctx, func(_, i int, c contender) error { return try(i, c) }); err != nil {
		return section, err
	}
	bare := contenders[len(contenders)-1]
	for _, bar := range []*[]report.Bar{&read, &placed, &rows} {
		*bar = append(*bar, report.Bar{Label: "shadow, without tombstones", Archetype: report.Shadow})
	}
	for _, tombstones := range []string{"false", "true"} {
		if err := w.restartOne(ctx, "SHADOW_TOMBSTONES="+tombstones); err != nil {
			return section, err
		}
		if tombstones == "true" {
			break
		}
		for range w.Runs {
			if err := try(len(contenders), bare); err != nil {
				return section, err
			}
		}
	}
	section.Measures = []report.Measure{
		{Name: fmt.Sprintf("reads that were answered, of %d", attempts), Unit: report.Count, Bars: read},
		{Name: fmt.Sprintf("orders that were taken, of %d", attempts), Unit: report.Count, Bars: placed},
		{Name: "rows of a user who does not exist", Unit: report.Count, Bars: rows},
	}
	return section, nil
}

// operator calls the relay; done ends its token source.
func (w *world) operator() (client *relayapi.Client, done func(), err error) {
	source, err := w.operatorToken()
	if err != nil {
		return nil, nil, err
	}
	client, err = relayapi.NewClient(w.urls[devstack.IdentityRelay], &http.Client{Timeout: patience, Transport: source.Transport(w.client.Transport)})
	return client, source.Close, err
}
