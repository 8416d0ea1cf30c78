package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/devstack"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

func reconciliation(ctx context.Context, s *system, r *report, c *constants) error {
	if err := s.start(ctx, allServices...); err != nil {
		return err
	}
	d, err := s.databases(ctx, devstack.Orders, devstack.DevIDP)
	if err != nil {
		return err
	}
	defer d.close()
	if err := s.listOthers(ctx, d[devstack.DevIDP]); err != nil {
		return err
	}
	if err := seed(ctx, d[devstack.Orders], devstack.Orders, "usr_", 0, s.population-1, 1); err != nil {
		return err
	}
	listed, err := s.readList(ctx)
	if err != nil {
		return err
	}
	held, err := readHeld(ctx, d[devstack.Orders])
	if err != nil {
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
	cpuBefore, err := relay.CPU()
	if err != nil {
		return err
	}
	progress("reconciliation: %d users", s.population)
	s.provider.calls.Store(0)
	begun := time.Now()
	result, err := s.reconcile(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	after, err := relay.Memory()
	if err != nil {
		return err
	}
	cpu, err := relay.CPU()
	if err != nil {
		return err
	}
	missing := s.population / gap
	if result.Listed != s.provider.listed() || result.Missing != missing || result.Deleted != missing {
		return fmt.Errorf("the pass listed %d, missed %d and deleted %d users, not %d, %d and %[5]d", result.Listed, result.Missing, result.Deleted, s.provider.listed(), missing)
	}
	c.heldBytes = float64(after.Peak-before.Resident) / float64(result.Held)
	c.passPerUser = took / time.Duration(result.Held)
	r.title(fmt.Sprintf("Reconciliation of %d users", s.population))
	r.table([]string{"what", "measured"},
		[]string{"floor: reading the provider's list, and nothing else", fmt.Sprintf("%.1f s", listed.Seconds())},
		[]string{"floor: SELECT DISTINCT user_id in the database of orders", fmt.Sprintf("%.1f s", held.Seconds())},
		[]string{"a pass", fmt.Sprintf("%.1f s, with a grace of 1 s between two look-ups: %.0f users a second; %.1f s of the relay's CPU",
			took.Seconds(), float64(result.Held)/took.Seconds(), (cpu - cpuBefore).Seconds())},
		[]string{"users held, listed, missing, deleted", fmt.Sprintf("%d, %d, %d, %d", result.Held, result.Listed, result.Missing, result.Deleted)},
		[]string{"calls to the identity provider", fmt.Sprintf("%d: pages of %d, and two look-ups of each missing user", s.provider.calls.Load(), maxPage)},
		[]string{"relay, resident: before, most, after", fmt.Sprintf("%s, %s, %s: at most %.0f B more for each user held", mib(before.Resident), mib(after.Peak), mib(after.Resident), c.heldBytes)},
	)
	r.text("At the default of 20 requests a second to the identity provider the list alone takes %s.",
		(time.Duration(float64(present(s.population)) / maxPage / 20 * float64(time.Second))).Round(time.Second))
	return nil
}

// listOthers puts the development IdP's own accounts onto the list: the services
// hear of them by webhook, perhaps only after this began.
func (s *system) listOthers(ctx context.Context, idp *pgxpool.Pool) error {
	rows, err := idp.Query(ctx, `SELECT id FROM users`)
	if err != nil {
		return fmt.Errorf("read the development IdP's users: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the development IdP's users: %w", err)
	}
	s.provider.also(ids)
	return nil
}

// reconcile asks for a pass and waits for its end.
func (s *system) reconcile(ctx context.Context) (relayapi.Reconciliation, error) {
	result, err := s.operator.Reconcile(ctx, relayapi.ReconcileRequest{})
	for err == nil && result.State == "running" {
		select {
		case <-ctx.Done():
			return result, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		result, err = s.operator.Reconciliation(ctx, result.ID)
	}
	if err == nil && result.State != "finished" {
		err = fmt.Errorf("the pass %s: %s", result.State, result.Problem)
	}
	return result, err
}

// readList pages through the list as the relay does and keeps nothing.
func (s *system) readList(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	for cursor := ""; ; {
		query := url.Values{"cursor": {cursor}, "count": {strconv.Itoa(maxPage)}, "attributes": {"id,active"}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.provider.url+"/Users?"+query.Encode(), nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		var page struct {
			NextCursor string     `json:"nextCursor"`
			Resources  []wireUser `json:"Resources"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close() // read to its end
		if err != nil {
			return 0, fmt.Errorf("read the list: %w", err)
		}
		if page.NextCursor == "" {
			return time.Since(begun), nil
		}
		cursor = page.NextCursor
	}
}

func readHeld(ctx context.Context, pool *pgxpool.Pool) (time.Duration, error) {
	begun := time.Now()
	rows, err := pool.Query(ctx, `SELECT DISTINCT user_id FROM orders`)
	if err != nil {
		return 0, fmt.Errorf("read the users of orders: %w", err)
	}
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("read the users of orders: %w", err)
	}
	return time.Since(begun), nil
}
