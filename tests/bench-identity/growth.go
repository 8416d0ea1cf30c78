package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
)

// constants are what the formulas of docs/identity.md, "Growth", are filled with.
type constants struct {
	commit    time.Duration
	perSecond float64

	eventBytes, deliveryBytes, inboxBytes, streamBytes float64
	revocationBytes, entryBytes, replicaBytes          float64

	erasuresPerSecond float64
	erasureBytes      float64
	tombstoneBytes    float64
	heldBytes         float64
	passPerUser       time.Duration
}

// perRow is what a table and its indexes take for each of its rows.
func perRow(ctx context.Context, pool *pgxpool.Pool, table string) (bytes float64, err error) {
	err = pool.QueryRow(ctx, `SELECT pg_total_relation_size('`+table+`')::float8 / greatest(count(*), 1) FROM `+table).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", table, err)
	}
	return bytes, nil
}

func (c *constants) readStorage(ctx context.Context, s *system, inbox *pgxpool.Pool) error {
	relay, err := s.database(ctx, devstack.IdentityRelay)
	if err != nil {
		return err
	}
	defer relay.Close()
	if c.eventBytes, err = perRow(ctx, relay, "events"); err != nil {
		return err
	}
	if c.deliveryBytes, err = perRow(ctx, relay, "deliveries"); err != nil {
		return err
	}
	if c.inboxBytes, err = perRow(ctx, inbox, "mailbox_inbox"); err != nil {
		return err
	}
	stream, err := s.js.Stream(ctx, streams.Identity)
	if err != nil {
		return fmt.Errorf("size of the stream: %w", err)
	}
	state := stream.CachedInfo().State
	c.streamBytes = float64(state.Bytes) / float64(max(state.Msgs, 1))
	return nil
}

// readErasures is what an erasure leaves for good, at the relay and at each
// participant.
func (c *constants) readErasures(ctx context.Context, d databases) error {
	var relay, each float64
	err := d[devstack.IdentityRelay].QueryRow(ctx, `SELECT (pg_total_relation_size('erasures') + pg_total_relation_size('erasure_participants')
		+ pg_total_relation_size('participant_tombstones'))::float8 / greatest((SELECT count(*) FROM erasures), 1)`).Scan(&relay)
	if err == nil {
		err = d[devstack.Orders].QueryRow(ctx, `SELECT (pg_total_relation_size('participant_tombstones') + pg_total_relation_size('participant_receipts'))::float8
			/ greatest((SELECT count(*) FROM participant_receipts), 1)`).Scan(&each)
	}
	if err != nil {
		return fmt.Errorf("size of erasures: %w", err)
	}
	c.erasureBytes, c.tombstoneBytes = relay, each
	return nil
}

// report prints the constants under the names that docs/identity.md has for them.
func (c *constants) report(r *report) {
	bytes := func(b float64) string { return number(b, "%.0f B") }
	r.title("Constants of the growth formulas (docs/identity.md)")
	r.table([]string{"name", "what", "value"},
		[]string{"c", "one commit, at 100/s", number(float64(c.commit)/float64(time.Millisecond), "%.2f ms")},
		[]string{"E max", "events a second into four inboxes", number(c.perSecond, "%.0f")},
		[]string{"e", "an event in the relay's log", bytes(c.eventBytes)},
		[]string{"d", "a remembered delivery", bytes(c.deliveryBytes)},
		[]string{"m", "a message in the stream", bytes(c.streamBytes)},
		[]string{"i", "an inbox row, in each service", bytes(c.inboxBytes)},
		[]string{"r", "a revocation as a row", bytes(c.revocationBytes)},
		[]string{"k", "a revocation in the bucket", bytes(c.entryBytes)},
		[]string{"h", "a revocation in a replica's memory", bytes(c.replicaBytes)},
		[]string{"x", "an erasure at the relay, for good", bytes(c.erasureBytes)},
		[]string{"t", "tombstone and receipt at each service, for good", bytes(c.tombstoneBytes)},
		[]string{"X max", "erasures a second", number(c.erasuresPerSecond, "%.1f")},
		[]string{"u", "a user held, in the relay's memory during a pass", bytes(c.heldBytes)},
		[]string{"p", "a user in a pass", number(float64(c.passPerUser)/float64(time.Microsecond), "%.1f µs")},
	)
	c.workOut(r)
}

// system sizes that the formulas are worked out for: users, and events a second
// if each causes one a day.
var sizes = []struct {
	name   string
	users  float64
	events float64
	live   float64
}{
	{"1 million users", 1e6, 1e6 / day, 1e5},
	{"100 million users", 1e8, 1e8 / day, 1e7},
}

// Lives of what is kept, in seconds (docs/identity.md, "What is kept where").
const (
	day          = 86_400
	eventLife    = 30 * day
	deliveryLife = 7 * day
	streamLife   = 7 * day
	inboxLife    = 30 * day
	services     = 4
)

// workOut fills the formulas in.
func (c *constants) workOut(r *report) {
	if c.eventBytes == 0 || c.entryBytes == 0 || c.passPerUser == 0 {
		return
	}
	gb := func(b float64) string { return fmt.Sprintf("%.1f GB", b/1e9) }
	head, rows := []string{"one event a user and day, four services"}, [][]string{
		{"events a second, E"}, {"relay's log, E · (30 d · e + 7 d · d)"}, {"stream, E · 7 d · m"}, {"inboxes of all services, S · E · 30 d · i"},
		{"live revocations, R"}, {"bucket and rows, R · (k + r)"}, {"memory of each replica, R · h"},
		{"calls of a pass, U / 500"}, {"time of a pass, U · p"}, {"memory of a pass, U · u"},
	}
	for _, size := range sizes {
		head = append(head, size.name)
		for i, cell := range []string{
			fmt.Sprintf("%.0f", size.events),
			gb(size.events * (eventLife*c.eventBytes + deliveryLife*c.deliveryBytes)),
			gb(size.events * streamLife * c.streamBytes),
			gb(services * size.events * inboxLife * c.inboxBytes),
			fmt.Sprintf("%.0f", size.live),
			gb(size.live * (c.entryBytes + c.revocationBytes)),
			gb(size.live * c.replicaBytes),
			fmt.Sprintf("%.0f", size.users/maxPage),
			(time.Duration(size.users) * c.passPerUser).Round(time.Second).String(),
			gb(size.users * c.heldBytes),
		} {
			rows[i] = append(rows[i], cell)
		}
	}
	r.table(head, rows...)
}

// number is a dash for what this run did not measure.
func number(value float64, format string) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(format, value)
}
