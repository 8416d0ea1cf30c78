package harness

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// holdingSQL makes queries for the columns that hold user IDs by their name.
const holdingSQL = `SELECT format('SELECT %1$I, count(*) FROM %2$I WHERE %1$I = ANY($1) GROUP BY 1', c.column_name, c.table_name)
	FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
	WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND (c.column_name = 'user_id' OR c.table_name = 'users' AND c.column_name = 'id')`

// rowsOf counts the rows of a database that bear each of the users' IDs.
func rowsOf(ctx context.Context, pool *pgxpool.Pool, ids []string) (map[string]int64, error) {
	rows, err := pool.Query(ctx, holdingSQL)
	if err != nil {
		return nil, fmt.Errorf("find columns: %w", err)
	}
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find columns: %w", err)
	}
	sum := map[string]int64{}
	for _, query := range queries {
		if err := countInto(ctx, pool, sum, query, ids); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func countInto(ctx context.Context, pool *pgxpool.Pool, sum map[string]int64, query string, ids []string) error {
	rows, err := pool.Query(ctx, query, ids)
	if err != nil {
		return fmt.Errorf("count rows of users: %w", err)
	}
	var id string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		sum[id] += n
		return nil
	})
	if err != nil {
		return fmt.Errorf("count rows of users: %w", err)
	}
	return nil
}

// remains are rows under the IDs of users who were deleted.
type remains struct {
	users    int   // who have rows without a reason
	rows     int64 // those rows
	retained int64 // rows for which a manifest states a reason
}

// remains in a contender's databases. The relay's is left out: it deletes the ID
// from its own record last; tests/e2e scan for that.
func (w *world) remains(ctx context.Context, c contender, ids []string) (r remains, err error) {
	left := map[string]int64{}
	for _, service := range c.databases {
		if service == devstack.IdentityRelay {
			continue
		}
		rows, err := rowsOf(ctx, w.pools[service], ids)
		if err != nil {
			return r, err
		}
		retained := map[string]int64{}
		if service == devstack.Billing {
			if retained, err = w.retained(ctx, ids); err != nil {
				return r, err
			}
		}
		for id, n := range rows {
			left[id] += n - retained[id]
			r.retained += retained[id]
		}
	}
	for _, n := range left {
		if n > 0 {
			r.users++
		}
		r.rows += n
	}
	return r, nil
}

// retained counts the invoices that billing's manifest keeps by law, of those
// users whom billing has erased: before that nobody has decided to keep them.
func (w *world) retained(ctx context.Context, ids []string) (map[string]int64, error) {
	tombstones, err := participant.LoadTombstones(w.running.SecretFile("tombstone-" + devstack.Billing))
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	if err := countInto(ctx, w.pools[devstack.Billing], all, `SELECT user_id, count(*) FROM invoices WHERE user_id = ANY($1) GROUP BY 1`, ids); err != nil {
		return nil, err
	}
	for id := range all {
		var erased bool
		err := w.pools[devstack.Billing].QueryRow(ctx, `SELECT EXISTS (SELECT FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted)`,
			tombstones.Hashes(id)).Scan(&erased)
		if err != nil {
			return nil, fmt.Errorf("look for a tombstone: %w", err)
		}
		if !erased {
			delete(all, id)
		}
	}
	return all, nil
}

// bearing counts the rows that bear the user's ID in the services' databases,
// with a reason or without.
func (w *world) bearing(ctx context.Context, c contender, id string) (int64, error) {
	r, err := w.remains(ctx, c, []string{id})
	return r.rows + r.retained, err
}

// admitted counts the users whose token orders still answers.
func (w *world) admitted(ctx context.Context, c contender, tenant string, ids []string) (n int, err error) {
	for _, id := range ids {
		token, err := w.signer.token(id, tenant, customer, c.archetype == report.Shadow)
		if err != nil {
			return 0, err
		}
		status, _, err := w.try(ctx, http.MethodGet, w.urls[c.orders]+"/v1/orders?limit=1", token, nil)
		if err != nil {
			return 0, err
		}
		if status == http.StatusOK {
			n++
		}
	}
	return n, nil
}
