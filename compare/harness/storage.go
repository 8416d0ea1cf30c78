package harness

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

// identityTables are what an archetype keeps because there are users: not the
// orders and invoices.
var identityTables = map[report.Archetype]string{
	report.Shadow:    `c.relname IN ('users', 'user_deliveries', 'user_tombstones')`,
	report.Federated: `(c.relname LIKE 'participant\_%' OR current_database() = '` + devstack.DatabaseName(devstack.IdentityRelay) + `')`,
}

// keptBytes is the size of a contender's tables about identities, with their indexes.
func (w *world) keptBytes(ctx context.Context, c contender) (sum int64, err error) {
	for _, service := range c.databases {
		n, err := keptIn(ctx, w.pools[service], c.archetype)
		if err != nil {
			return 0, fmt.Errorf("size of %s: %w", service, err)
		}
		sum += n
	}
	return sum, nil
}

func keptIn(ctx context.Context, pool *pgxpool.Pool, a report.Archetype) (n int64, err error) {
	err = pool.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND `+identityTables[a]).Scan(&n)
	return n, err
}

// storage tells what is kept of users, before and after everything else that was measured.
func storage(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "Storage", Question: "What is kept only because there are users?",
		Method: []string{
			"pg_total_relation_size, with indexes: in the shadow archetype of users, user_deliveries and user_tombstones in each database; in the federated one of everything that identity-relay has, and of each service's tombstones and receipts. Orders and invoices are not in it.",
			"At the start there are the users and nothing has happened to them. At the end the tables hold what all changes of this run have left. Deliveries, events and inboxes are forgotten after days, which no run lasts.",
			"The services of the section on more services are in the numbers at the end, of each archetype its own, and so is what identity-relay keeps of their erasures. The federated archetype's log in NATS counts as a part of it and is shown once more by itself; shadow users put nothing there.",
		},
	}
	streamed, err := w.streamed(ctx)
	if err != nil {
		return section, err
	}
	before, after := bars(), bars()
	for i, c := range contenders {
		n, err := w.keptBytes(ctx, c)
		if err != nil {
			return section, err
		}
		n += w.ofNodes[c.orders]
		if c.archetype == report.Federated {
			n += streamed
		}
		before[i].Values, after[i].Values = []float64{float64(w.atStart[c.orders])}, []float64{float64(n)}
	}
	after = append(after, report.Bar{Label: "of federated IDs: in NATS", Archetype: report.Neither, Values: []float64{float64(streamed)}})
	section.Measures = []report.Measure{
		{Name: fmt.Sprintf("of %s users at the start", report.Count.Format(float64(w.shop.users))), Unit: report.Bytes, Bars: before},
		{Name: "at the end of this run", Unit: report.Bytes, Bars: after},
	}
	return section, nil
}
