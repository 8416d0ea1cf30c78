package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// gonePrefix begins the IDs of users whom the identity provider does not list.
const gonePrefix = "gone_"

func goneID(i int) string { return fmt.Sprintf("%s%021d", gonePrefix, i) }

// allServices are the participants; the relay is one, too.
var allServices = []string{devstack.Orders, devstack.Billing, devstack.TokenExchange, devstack.Console}

func erasure(ctx context.Context, s *system, r *report, c *constants) error {
	if err := s.start(ctx, allServices...); err != nil {
		return err
	}
	d, err := s.databases(ctx, devstack.Orders, devstack.Billing, devstack.IdentityRelay)
	if err != nil {
		return err
	}
	defer d.close()
	if err := s.eraseOne(ctx, r, d); err != nil {
		return err
	}
	return s.eraseMany(ctx, r, c, d)
}

// step is one answer of an erasure.
type step struct {
	participant string
	after       time.Duration // since the webhook was sent
	rows        int64
	kept        int64
}

// eraseOne deletes a user with many orders and shows who answered when.
func (s *system) eraseOne(ctx context.Context, r *report, d databases) error {
	const user, floorUser = 0, 1
	if err := seed(ctx, d[devstack.Orders], devstack.Orders, gonePrefix, user, floorUser, s.orders); err != nil {
		return err
	}
	if err := seed(ctx, d[devstack.Billing], devstack.Billing, gonePrefix, user, user, s.orders); err != nil {
		return err
	}
	begun := time.Now()
	if _, err := d[devstack.Orders].Exec(ctx, `UPDATE orders SET user_id = 'erased:bench' WHERE user_id = $1`, goneID(floorUser)); err != nil {
		return fmt.Errorf("measure a bare update: %w", err)
	}
	floor := time.Since(begun)
	progress("erasure: one user with %d orders", s.orders)
	begun = time.Now()
	if err := s.webhooks.send(ctx, "user.deleted", map[string]any{"id": goneID(user)}); err != nil {
		return err
	}
	committed := time.Since(begun)
	var id string
	if err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT id::text FROM erasures WHERE user_id = $1`, goneID(user)).Scan(&id); err != nil {
		return fmt.Errorf("find the erasure: %w", err)
	}
	complete, err := s.completeAt(ctx, d, id)
	if err != nil {
		return err
	}
	steps, err := answers(ctx, d, id, begun)
	if err != nil {
		return err
	}
	r.title(fmt.Sprintf("Erasure of a user with %d orders", s.orders))
	rows := [][]string{
		{"floor: one UPDATE of as many orders", ms(floor), strconv.Itoa(s.orders), ""},
		{"webhook committed, access ends", ms(committed), "", ""},
	}
	for _, step := range steps {
		rows = append(rows, []string{"receipt of " + step.participant, ms(step.after), strconv.FormatInt(step.rows, 10), strconv.FormatInt(step.kept, 10)})
	}
	r.table([]string{"what", "after", "rows changed", "rows retained by law"}, append(rows, []string{"complete, with a certificate", ms(complete.Sub(begun)), "", ""})...)
	return nil
}

func (s *system) completeAt(ctx context.Context, d databases, id string) (at time.Time, err error) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		var completed *time.Time
		err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT completed_at FROM erasures WHERE id = $1::uuid`, id).Scan(&completed)
		if err != nil {
			return at, fmt.Errorf("look at the erasure: %w", err)
		}
		if completed != nil {
			return *completed, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return at, errors.New("the erasure was not complete within two minutes")
}

func answers(ctx context.Context, d databases, id string, begun time.Time) ([]step, error) {
	rows, err := d[devstack.IdentityRelay].Query(ctx, `SELECT participant, answered_at, receipt::text FROM erasure_participants
		WHERE erasure_id = $1::uuid AND receipt IS NOT NULL ORDER BY answered_at`, id)
	if err != nil {
		return nil, fmt.Errorf("read the receipts: %w", err)
	}
	steps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (st step, err error) {
		var at time.Time
		var raw string
		if err := row.Scan(&st.participant, &at, &raw); err != nil {
			return st, err
		}
		var receipt participant.Receipt
		if err := json.Unmarshal([]byte(raw), &receipt); err != nil {
			return st, err
		}
		for _, column := range receipt.Columns {
			st.rows += column.Rows
			if column.Disposition == participant.Retain {
				st.kept += column.Remaining
			}
		}
		st.after = at.Sub(begun)
		return st, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the receipts: %w", err)
	}
	return steps, nil
}

// warming is how many users are deleted before those who count. Tables that were
// empty a moment ago are read from end to end, by plans that Postgres keeps until
// they are analyzed; autovacuum does that within a minute.
const warming = 300

// eraseMany deletes many users, each with an order and an invoice.
func (s *system) eraseMany(ctx context.Context, r *report, c *constants, d databases) error {
	const first = 1000
	for _, service := range []string{devstack.Orders, devstack.Billing} {
		if err := seed(ctx, d[service], service, gonePrefix, first, first+warming+s.users-1, 1); err != nil {
			return err
		}
	}
	if err := s.deleteUsers(ctx, first, warming); err != nil {
		return err
	}
	if err := s.awaitErasures(ctx, d); err != nil {
		return err
	}
	if err := s.analyze(ctx); err != nil {
		return err
	}
	relay := s.services[devstack.IdentityRelay]
	if err := relay.ForgetPeak(); err != nil {
		return err
	}
	before, err := relay.Memory()
	if err != nil {
		return err
	}
	commitsBefore, err := commits(ctx, d)
	if err != nil {
		return err
	}
	progress("erasure: %d users", s.users)
	begun := time.Now()
	if err := s.deleteUsers(ctx, first+warming, s.users); err != nil {
		return err
	}
	accepted := time.Since(begun)
	if err := s.awaitErasures(ctx, d); err != nil {
		return err
	}
	took := time.Since(begun)
	after, err := relay.Memory()
	if err != nil {
		return err
	}
	commitsAfter, err := commits(ctx, d)
	if err != nil {
		return err
	}
	users := float64(s.users)
	c.erasuresPerSecond = users / took.Seconds()
	if err := c.readErasures(ctx, d); err != nil {
		return err
	}
	r.title(fmt.Sprintf("%d users deleted in bulk", s.users))
	r.table([]string{"what", "measured"},
		[]string{"webhooks accepted, users blocked", fmt.Sprintf("%.1f s: %.0f a second", accepted.Seconds(), users/accepted.Seconds())},
		[]string{"all erasures complete, each with five receipts and a certificate", fmt.Sprintf("%.1f s: %.1f a second", took.Seconds(), users/took.Seconds())},
		[]string{"transactions for each, in all databases", fmt.Sprintf("%.1f", float64(commitsAfter-commitsBefore)/users)},
		[]string{"relay, resident: before, most, after", fmt.Sprintf("%s, %s, %s", mib(before.Resident), mib(after.Peak), mib(after.Resident))},
	)
	r.text("With the default breaker the first 100 within an hour would be erased and the others held, blocked, until somebody releases them.")
	return nil
}

func (s *system) deleteUsers(ctx context.Context, first, n int) error {
	_, err := measure.Full(ctx, s.connections, n, time.Hour, func(ctx context.Context, i int, _ time.Time) error {
		return s.webhooks.send(ctx, "user.deleted", map[string]any{"id": goneID(first + i)})
	})
	return err
}

// analyze does what autovacuum would have done a minute later.
func (s *system) analyze(ctx context.Context) error {
	d, err := s.databases(ctx, append([]string{devstack.IdentityRelay}, allServices...)...)
	if err != nil {
		return err
	}
	defer d.close()
	for service, pool := range d {
		if _, err := pool.Exec(ctx, "ANALYZE"); err != nil {
			return fmt.Errorf("analyze %s: %w", service, err)
		}
	}
	return nil
}

// commits of all databases, as far as Postgres has counted.
func commits(ctx context.Context, d databases) (n int64, err error) {
	if err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT sum(xact_commit)::bigint FROM pg_stat_database`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count transactions: %w", err)
	}
	return n, nil
}

var errStuck = errors.New("no erasure was completed for two minutes")

// awaitErasures waits until none is open, as long as they move on.
func (s *system) awaitErasures(ctx context.Context, d databases) error {
	least, moved := int64(-1), time.Now()
	for said := time.Now(); ; {
		var some bool // counting them all would take a good part of a processor
		if err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasures WHERE state <> 'complete')`).Scan(&some); err != nil {
			return fmt.Errorf("look for open erasures: %w", err)
		}
		if !some {
			return nil
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			var open int64
			if err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT count(*) FROM erasures WHERE state <> 'complete'`).Scan(&open); err != nil {
				return fmt.Errorf("count open erasures: %w", err)
			}
			progress("erasure: %d are open", open)
			if least < 0 || open < least {
				least, moved = open, time.Now()
			}
			if time.Since(moved) > patience {
				return fmt.Errorf("%w: %d are open", errStuck, open)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
