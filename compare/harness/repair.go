package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// repair reconciles with the provider's list.
func (w *world) repair(ctx context.Context, c contender, gone []string) error {
	if c.archetype == report.Federated {
		return w.repairFederated(ctx, c, gone)
	}
	for _, service := range c.databases {
		tombstones, err := participant.LoadTombstones(w.running.SecretFile("tombstone-" + shadowServices[service]))
		if err != nil {
			return err
		}
		list := users.NewAutherList(w.urls[devstack.DevIDP], w.running.SecretFile("idp-administrator"), w.client)
		if _, err := users.NewReconciler(w.pools[service], list, users.Options{Tombstones: tombstones}).Once(ctx); err != nil {
			return fmt.Errorf("reconcile %s: %w", service, err)
		}
	}
	return nil
}

var errNotRepaired = errors.New("reconciliation left rows of deleted users")

func (w *world) repairFederated(ctx context.Context, c contender, gone []string) error {
	operator, done, err := w.operator()
	if err != nil {
		return err
	}
	defer done()
	const each = time.Millisecond // of the list, which is read from end to end
	for deadline := time.Now().Add(2*patience + time.Duration(w.Users)*each); time.Now().Before(deadline); {
		r, err := operator.Reconcile(ctx, relayapi.ReconcileRequest{})
		for err == nil && r.State == "running" {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			r, err = operator.Reconciliation(ctx, r.ID)
		}
		if err != nil {
			return err
		}
		if r.Problem != "" {
			return fmt.Errorf("reconcile: %s", r.Problem)
		}
		if err := w.erased(ctx); err != nil {
			return err
		}
		if left, err := w.remains(ctx, c, gone); err != nil || left.rows == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second): // the second look-up comes a grace period later
		}
	}
	return errNotRepaired
}

// inStep makes a contender's tables of users what the provider's is. Other
// measurements have made users of whom not every table was told; a repair that is
// measured must not be charged with them.
func (w *world) inStep(ctx context.Context, c contender) error {
	if c.archetype == report.Federated {
		return nil
	}
	for _, service := range c.databases {
		if err := mirrorAll(ctx, w.pools[devstack.DevIDP], w.pools[service]); err != nil {
			return fmt.Errorf("bring the users of %s in step: %w", service, err)
		}
	}
	return nil
}

func mirrorAll(ctx context.Context, provider, service *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, service, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE listed (id text COLLATE "C" PRIMARY KEY, name text, email text, updated_at timestamptz) ON COMMIT DROP`); err != nil {
			return err
		}
		rows, err := provider.Query(ctx, `SELECT id, name, email, updated_at FROM users`)
		if err != nil {
			return err
		}
		defer rows.Close()
		copied := pgx.CopyFromFunc(func() ([]any, error) {
			if !rows.Next() {
				return nil, rows.Err()
			}
			return rows.Values()
		})
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"listed"}, []string{"id", "name", "email", "updated_at"}, copied); err != nil {
			return err
		}
		for _, statement := range []string{
			`ANALYZE listed`,
			`DELETE FROM users u WHERE NOT EXISTS (SELECT FROM listed l WHERE l.id = u.id)`,
			`INSERT INTO users AS u (id, name, email, avatar_url, banned, updated_at) SELECT id, name, email, '', false, updated_at FROM listed
				ON CONFLICT ON CONSTRAINT users_pkey DO UPDATE SET name = excluded.name, email = excluded.email, updated_at = excluded.updated_at
				WHERE (u.name, u.email) IS DISTINCT FROM (excluded.name, excluded.email)`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}
