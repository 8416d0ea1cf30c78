package harness

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/internal/devstack"
)

// userID of the i-th user, 25 bytes.
func userID(i int) string { return fmt.Sprintf("usr_%021d", i) }

// tenant of everybody.
const tenant = "acme"

const pageOrders = 50

// pageUsers are how many users the orders of one page are of.
var pageUsers = []int{1, 5, 10, 25, 50}

// group is a tenant of its own with a page of orders.
type group struct {
	tenant       string
	first, users int
}

// population is who there is: the users, and after them those of the pages.
type population struct {
	users  int
	groups []group
	warm   map[int]string   // by users a page
	cold   map[int][]string // tenants whose users nobody has asked for yet
}

func (w *world) population() *population {
	p := &population{users: w.Users, warm: map[int]string{}, cold: map[int][]string{}}
	add := func(name string, users int) string {
		p.groups = append(p.groups, group{tenant: name, first: p.users, users: users})
		p.users += users
		return name
	}
	for _, users := range pageUsers {
		p.warm[users] = add(fmt.Sprintf("warm-%d", users), users)
		for n := range w.Runs * (w.coldSamples() + w.slowSamples()) {
			p.cold[users] = append(p.cold[users], add(fmt.Sprintf("cold-%d-%d", users, n), users))
		}
	}
	add(outageTenant, pageOrders)
	return p
}

func (w *world) coldSamples() int { return max(2, w.Samples/5) }
func (w *world) slowSamples() int { return max(1, w.Samples/20) }

// takeCold returns a tenant whose names are in no cache.
func (p *population) takeCold(users int) string {
	t := p.cold[users][0]
	p.cold[users] = p.cold[users][1:]
	return t
}

const (
	idSQL = `'usr_' || lpad(u::text, 21, '0')`

	// providerSQL gives the provider users $1 to $2.
	providerSQL = `INSERT INTO users (id, name, email, email_verified, role, active_tenant, created_at, updated_at)
		SELECT ` + idSQL + `, 'Name of ' || ` + idSQL + `, ` + idSQL + ` || '@example.com', true, 'user', 'acme', now() - interval '1 day', now() - interval '1 day'
		FROM generate_series($1::int, $2::int) u`

	// mirrorSQL is the shadow table of the same users.
	mirrorSQL = `INSERT INTO users (id, name, email, avatar_url, banned, updated_at)
		SELECT ` + idSQL + `, 'Name of ' || ` + idSQL + `, ` + idSQL + ` || '@example.com', '', false, now() - interval '1 day'
		FROM generate_series($1::int, $2::int) u`

	// ofUsers is $3 orders of each of the users $1 to $2.
	ofUsers = ` FROM (SELECT ` + idSQL + ` AS user_id, 'acme' AS tenant, md5('order ' || u || '/' || n)::uuid AS order_id,
			md5('invoice ' || u || '/' || n)::uuid AS invoice_id, md5('posted ' || u || '/' || n)::uuid AS posted
		FROM generate_series($1::int, $2::int) u, generate_series(1, $3::int) n) seeded`

	// ofGroups is $4 orders of each tenant $1, whose users begin at $2 and are $3 many.
	ofGroups = ` FROM (SELECT 'usr_' || lpad((first + n % users)::text, 21, '0') AS user_id, tenant, md5('order ' || tenant || '/' || n)::uuid AS order_id,
			md5('invoice ' || tenant || '/' || n)::uuid AS invoice_id, md5('posted ' || tenant || '/' || n)::uuid AS posted
		FROM unnest($1::text[], $2::int[], $3::int[]) g (tenant, first, users), generate_series(0, $4::int - 1) n) seeded`
)

var ordersSQL = []string{
	`INSERT INTO orders (id, tenant_id, user_id, status, currency, total_minor, invoice_id, invoice_version, invoice_retry_at, version, created_at, updated_at)
		SELECT order_id, tenant, user_id, 'paid', 'EUR', 1200, invoice_id, 1, now(), 2, now(), now()`,
	`INSERT INTO order_items (order_id, position, sku, quantity, unit_price_minor) SELECT order_id, 1, 'lamp', 1, 1200`,
}

var invoicesSQL = []string{
	`INSERT INTO invoices (id, order_id, tenant_id, user_id, status, currency, amount_minor, version, created_at, updated_at)
		SELECT invoice_id, order_id, tenant, user_id, 'paid', 'EUR', 1200, 1, now(), now()`,
	`INSERT INTO ledger_transactions (id, invoice_id, kind, currency, posted_at) SELECT posted, invoice_id, 'invoice', 'EUR', now()`,
}

const entriesSQL = `INSERT INTO ledger_entries (transaction_id, account, amount_minor) SELECT posted, a.account, a.amount %s, (VALUES ('receivable', 1200), ('revenue', -1200)) a (account, amount)`

// filledAtOnce is how many databases are filled side by side.
const filledAtOnce = 2

// fill gives every database its users, orders and invoices, the same in each.
func (w *world) fill(ctx context.Context) error {
	w.shop = w.population()
	last := w.shop.users - 1
	if err := run(ctx, w.pools[devstack.DevIDP], statement{providerSQL, []any{0, last}}); err != nil {
		return fmt.Errorf("fill the provider: %w", err)
	}
	group, filling := errgroup.WithContext(ctx)
	group.SetLimit(filledAtOnce)
	for name, tables := range map[string][][]string{
		devstack.Orders: {ordersSQL}, devstack.Billing: {invoicesSQL},
		shadowOrders: {nil, ordersSQL}, shadowBilling: {nil, invoicesSQL}, oneOrders: {nil, ordersSQL, invoicesSQL},
	} {
		var all []statement
		for _, inserts := range tables {
			if inserts == nil {
				all = append(all, statement{mirrorSQL, []any{0, last}})
				continue
			}
			all = append(all, w.seed(inserts)...)
		}
		group.Go(func() error {
			if err := run(filling, w.pools[name], all...); err != nil {
				return fmt.Errorf("fill %s: %w", name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, c := range contenders {
		var err error
		if w.atStart[c.orders], err = w.keptBytes(ctx, c); err != nil {
			return err
		}
	}
	_, err := w.admin.Exec(ctx, `CHECKPOINT`)
	return err
}

// register makes users at the provider who are not in any other database.
func (w *world) register(ctx context.Context, ids ...string) error {
	_, err := w.pools[devstack.DevIDP].Exec(ctx, `INSERT INTO users (id, name, email, email_verified, role, active_tenant, created_at, updated_at)
		SELECT id, 'Name of ' || id, id || '@example.com', true, 'user', 'acme', now(), now() FROM unnest($1::text[]) id ON CONFLICT DO NOTHING`, ids)
	if err != nil {
		return fmt.Errorf("register users: %w", err)
	}
	return nil
}

type statement struct {
	sql       string
	arguments []any
}

func (w *world) seed(inserts []string) []statement {
	var tenants []string
	var firsts, users []int
	for _, g := range w.shop.groups {
		tenants, firsts, users = append(tenants, g.tenant), append(firsts, g.first), append(users, g.users)
	}
	everybody, pages := []any{0, w.Users - 1, w.OrdersEach}, []any{tenants, firsts, users, pageOrders}
	var all []statement
	for _, insert := range inserts {
		all = append(all, statement{insert + ofUsers, everybody}, statement{insert + ofGroups, pages})
	}
	if slices.Equal(inserts, invoicesSQL) {
		all = append(all, statement{fmt.Sprintf(entriesSQL, ofUsers), everybody}, statement{fmt.Sprintf(entriesSQL, ofGroups), pages})
	}
	return all
}

// run executes statements in one transaction and has the planner know of it.
func run(ctx context.Context, pool *pgxpool.Pool, all ...statement) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // nothing is left after a commit
	// The rows agree with each other as they are made: checking each of them took
	// most of the time that filling takes.
	if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
		return err
	}
	for _, s := range all {
		if _, err := tx.Exec(ctx, s.sql, s.arguments...); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `VACUUM ANALYZE`)
	return err
}
