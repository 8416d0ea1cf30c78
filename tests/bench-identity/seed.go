package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/devstack"
)

// ofEach is one row for each thing of each user. $1 is the beginning of the users'
// IDs, $2 and $3 the first and the last one's number, $4 how many things each.
const ofEach = ` FROM (SELECT $1::text || lpad(u::text, 21, '0') AS user_id, md5($1::text || u || '/' || n)::uuid AS id, md5('order ' || $1::text || u || '/' || n)::uuid AS order_id, md5('posted ' || $1::text || u || '/' || n)::uuid AS posted
	FROM generate_series($2::int, $3::int) u, generate_series(1, $4::int) n) seeded`

// seedSQL writes orders and invoices straight into the tables: what is measured
// begins afterwards.
var seedSQL = map[string][]string{
	devstack.Orders: {
		`INSERT INTO orders (id, tenant_id, user_id, status, currency, total_minor, invoice_id, invoice_version, invoice_retry_at, version, created_at, updated_at)
			SELECT id, 'bench', user_id, 'paid', 'EUR', 1200, id, 1, now(), 2, now(), now()` + ofEach,
		`INSERT INTO order_items (order_id, position, sku, quantity, unit_price_minor) SELECT id, 1, 'lamp', 1, 1200` + ofEach,
	},
	devstack.Billing: {
		`INSERT INTO invoices (id, order_id, tenant_id, user_id, status, currency, amount_minor, version, created_at, updated_at)
			SELECT id, order_id, 'bench', user_id, 'paid', 'EUR', 1200, 1, now(), now()` + ofEach,
		`INSERT INTO ledger_transactions (id, invoice_id, kind, currency, posted_at) SELECT posted, id, 'invoice', 'EUR', now()` + ofEach,
		`INSERT INTO ledger_entries (transaction_id, account, amount_minor)
			SELECT posted, a.account, a.amount` + ofEach + `, (VALUES ('receivable', 1200), ('revenue', -1200)) a (account, amount)`,
		`INSERT INTO statements (user_id, tenant_id, month, currency, invoices, invoiced_minor, paid_minor, refunded_minor, computed_at)
			SELECT user_id, 'bench', date_trunc('month', now())::date, 'EUR', count(*), 1200 * count(*), 0, 0, now()` + ofEach + ` GROUP BY user_id`,
	},
}

// seed gives users first to last their orders or invoices.
func seed(ctx context.Context, pool *pgxpool.Pool, service, prefix string, first, last, things int) error {
	begun := time.Now()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, statement := range seedSQL[service] {
			if _, err := tx.Exec(ctx, statement, prefix, first, last, things); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, err = pool.Exec(ctx, "ANALYZE")
	}
	if err != nil {
		return fmt.Errorf("fill %s: %w", service, err)
	}
	progress("%s: %d rows of %d users in %s", service, (last-first+1)*things, last-first+1, time.Since(begun).Round(time.Millisecond))
	return nil
}

// databases are the pools of all services that hold data.
type databases map[string]*pgxpool.Pool

func (s *system) databases(ctx context.Context, services ...string) (databases, error) {
	d := databases{}
	for _, service := range services {
		pool, err := s.database(ctx, service)
		if err != nil {
			d.close()
			return nil, err
		}
		d[service] = pool
	}
	return d, nil
}

func (d databases) close() {
	for _, pool := range d {
		pool.Close()
	}
}
