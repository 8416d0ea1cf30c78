package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
)

// changes measures what one change of an identity writes.
func changes(ctx context.Context, w *world) (report.Section, error) {
	section := report.Section{
		Title: "What a change of an identity writes", Question: "A user signs up, is renamed, is deleted: how much is written for that?",
		Method: []string{
			fmt.Sprintf("%d webhooks a run for sign-ups and renames, %d for deletions, 8 at once, of users who have no data. Bytes are the growth of the one Postgres's log (pg_current_wal_insert_lsn) from one quiet moment to the next, of every database, divided by the webhooks.", w.Changes, w.deletions()),
			"Rows are those inserted, updated and deleted in the contender's databases in all runs (pg_stat_database).",
			"The federated archetype writes at identity-relay: the delivery's ID, the event, and that it was published; for a deletion also the erasure, the receipts, and a tombstone in each service. Its messages go to NATS, whose log is counted apart.",
		},
	}
	before, err := w.rowsWritten(ctx)
	if err != nil {
		return section, err
	}
	for _, change := range []struct {
		kind, name string
		count      int
	}{
		{"user.created", "a sign-up", w.Changes},
		{"user.updated", "a rename", w.Changes},
		{"user.deleted", "a deletion", w.deletions()},
	} {
		bytes, rows := bars(), bars()
		var inNATS []float64
		err := w.inTurns(ctx, func(run, i int, c contender) error {
			streamed, err := w.streamed(ctx)
			if err != nil {
				return err
			}
			ids := make([]string, change.count)
			for n := range ids {
				ids[n] = fmt.Sprintf("changed_%d_%d_%d", i, run, n)
			}
			if err := w.changeAtProvider(ctx, change.kind, ids); err != nil {
				return err
			}
			wal, err := w.writtenBy(ctx, func() error { return w.tellMany(ctx, c, change.kind, ids) })
			if err != nil {
				return err
			}
			bytes[i].Values = append(bytes[i].Values, float64(wal)/float64(change.count))
			if c.archetype == report.Federated {
				now, err := w.streamed(ctx)
				inNATS = append(inNATS, float64(now-streamed)/float64(change.count))
				return err
			}
			return nil
		})
		if err != nil {
			return section, err
		}
		after, err := w.rowsWritten(ctx)
		if err != nil {
			return section, err
		}
		for i := range contenders {
			rows[i].Values = []float64{float64((after[i]-before[i])*100/int64(change.count*w.Runs)) / 100}
		}
		before = after
		section.Measures = append(section.Measures,
			report.Measure{Name: change.name + ": bytes in Postgres's log", Unit: report.Bytes, Bars: append(bytes, report.Bar{
				Label: "federated IDs, in NATS beside it", Archetype: report.Neither, Values: inNATS,
			})},
			report.Measure{Name: change.name + ": rows written", Unit: report.Count, Bars: rows},
		)
	}
	return section, nil
}

func (w *world) deletions() int { return max(10, w.Changes/5) }

// changeAtProvider makes or deletes the users there; what the provider itself
// writes is in no measurement.
func (w *world) changeAtProvider(ctx context.Context, kind string, ids []string) error {
	if kind != "user.deleted" {
		return w.register(ctx, ids...)
	}
	if _, err := w.pools[devstack.DevIDP].Exec(ctx, `DELETE FROM users WHERE id = ANY($1)`, ids); err != nil {
		return fmt.Errorf("delete at the provider: %w", err)
	}
	return nil
}

// tellMany delivers one webhook about each user.
func (w *world) tellMany(ctx context.Context, c contender, kind string, ids []string) error {
	_, err := measure.Full(ctx, 8, len(ids), patience, func(ctx context.Context, n int, _ time.Time) error {
		id := ids[n]
		data := profile(id, kind+" of "+id, time.Now())
		if kind == "user.deleted" {
			data = map[string]any{"id": id}
		}
		return w.tell(ctx, c, kind, data)
	})
	if err != nil || kind != "user.deleted" || c.archetype != report.Federated {
		return err
	}
	return w.erased(ctx)
}
