package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

const restoredUsers = 10

// restores puts yesterday's backup back, from before users were deleted.
func restores(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "A backup is restored", Question: "Users were deleted after the backup was made: who deletes them again?",
		Method: []string{
			fmt.Sprintf("The services' databases are copied, %d users with orders are deleted, and the copies put in the originals' place, tombstones and all. The relay's database is not restored, as the provider's is not.", restoredUsers),
			"Then each archetype reconciles with the provider's list, at once; the shadow one would do so by the next night, the federated one within the hour.",
		},
	}
	back, after, repair := bars(), bars(), bars()
	for i, c := range contenders {
		var ids []string
		for range restoredUsers {
			id, _, err := w.takeWithToken(ctx, c)
			if err != nil {
				return section, err
			}
			ids = append(ids, id)
		}
		if err := w.replaceDatabases(ctx, c, w.backUp); err != nil {
			return section, err
		}
		for _, id := range ids {
			if _, _, err := w.deleteEverywhere(ctx, c, id); err != nil {
				return section, err
			}
		}
		if err := w.replaceDatabases(ctx, c, w.putBack); err != nil {
			return section, err
		}
		left, err := w.remains(ctx, c, ids)
		if err != nil {
			return section, err
		}
		back[i].Values = []float64{float64(left.users)}
		begun := time.Now()
		if err := w.repair(ctx, c, ids); err != nil {
			return section, err
		}
		repair[i].Values = []float64{ms(time.Since(begun))}
		if left, err = w.remains(ctx, c, ids); err != nil {
			return section, err
		}
		after[i].Values = []float64{float64(left.users)}
	}
	section.Measures = []report.Measure{
		{Name: "deleted users who have rows again", Unit: report.Count, Bars: back},
		{Name: "the repair takes", Unit: report.Milliseconds, Bars: repair},
		{Name: "deleted users who have rows after it", Unit: report.Count, Bars: after},
	}
	return section, nil
}

// replaceDatabases stops a contender's services, does something to each of their
// databases that nobody may use meanwhile, and starts them again.
func (w *world) replaceDatabases(ctx context.Context, c contender, do func(ctx context.Context, database string) error) error {
	for _, name := range []string{c.orders, c.billing} {
		w.services[name].Stop()
	}
	for _, service := range c.databases {
		if service == devstack.IdentityRelay {
			continue
		}
		w.pools[service].Reset()
		if err := do(ctx, w.databases()[service]); err != nil {
			return err
		}
	}
	for _, name := range []string{c.orders, c.billing} {
		environ, err := w.environOf(name)
		if err != nil {
			return err
		}
		if err := w.serve(name, w.urls[name], environ); err != nil {
			return err
		}
		if err := w.ready(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// environOf any of the contenders' services.
func (w *world) environOf(name string) ([]string, error) {
	switch name {
	case shadowOrders, shadowBilling:
		return w.shadowEnviron(name, [2]string{shadowBilling, shadowOrders})
	case oneOrders, oneBilling:
		return w.shadowEnviron(name, [2]string{oneBilling, oneOrders})
	default:
		return w.federatedEnviron(name)
	}
}

func (w *world) backUp(ctx context.Context, database string) error {
	return w.exclusively(ctx, database, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s`, quoted(database+"_backup"), quoted(database)))
}

func (w *world) putBack(ctx context.Context, database string) error {
	// The backup becomes the database, with the owner and rights of the original,
	// which are not copied with its content.
	return w.exclusively(ctx, database,
		fmt.Sprintf(`ALTER DATABASE %s RENAME TO %s`, quoted(database), quoted(database+"_old")),
		fmt.Sprintf(`ALTER DATABASE %s RENAME TO %s`, quoted(database+"_backup"), quoted(database)),
		fmt.Sprintf(`GRANT CONNECT ON DATABASE %s TO %s, %s`, quoted(database), quoted(database+"_migrator"), quoted(database+"_runtime")),
		`DROP DATABASE `+quoted(database+"_old"),
	)
}

func (w *world) exclusively(ctx context.Context, database string, statements ...string) error {
	_, err := w.admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database)
	if err != nil {
		return fmt.Errorf("end what uses %s: %w", database, err)
	}
	for _, statement := range statements {
		if _, err := w.admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("replace %s: %w", database, err)
		}
	}
	return nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
