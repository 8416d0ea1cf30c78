package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

const (
	nodeChanges = 40 // renames of one run
	nodeRows    = 10 // of a user in each service
)

// growth measures what a change costs with more services, and an erasure with
// more services and rows.
func growth(ctx context.Context, w *world) (section report.Section, err error) { //nolint:gocognit // a scenario is read from top to bottom
	section = report.Section{
		Title: "More services", Question: "What becomes of the cost of a change when there are two, four, eight services?",
		Method: []string{
			"Each service has a database of its own with one table of users' rows. In the shadow archetype each also has a table of users and receives each webhook; in the federated one each is a participant in erasures, and a rename concerns none of them. These services run in the harness's own process, with the archetypes' own code.",
			fmt.Sprintf("%d renames and one deletion a run, of users with %d rows in each service, or as many as the curve says. Bytes are the growth of Postgres's log, divided by the changes.", nodeChanges, nodeRows),
			"The provider sends to all receivers at once. A deletion has ended when all have committed; in the federated archetype when all receipts are there and the certificate is written.",
		},
	}
	s := w.openNodes()
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	written := curveOf("Bytes that one rename writes, over services", "services", "growth of Postgres's log for each rename", report.Bytes)
	overServices := curveOf("A user is erased, over services", "services", fmt.Sprintf("until it is done, %d rows in each service", nodeRows), report.Milliseconds)
	for _, n := range w.Services {
		if err := s.grow(ctx, n); err != nil {
			return section, err
		}
		bytes, took := make([][]float64, 2), make([][]float64, 2)
		for run := range w.Runs {
			for turn := range 2 {
				i := (turn + run) % 2
				b, err := s.renames(ctx, i == 0)
				if err != nil {
					return section, err
				}
				d, err := s.erase(ctx, i == 0, nodeRows)
				if err != nil {
					return section, err
				}
				bytes[i], took[i] = append(bytes[i], b), append(took[i], ms(d))
			}
		}
		for i := range 2 {
			written.Series[i].Points = append(written.Series[i].Points, report.Point{X: float64(n), Values: bytes[i]})
			overServices.Series[i].Points = append(overServices.Series[i].Points, report.Point{X: float64(n), Values: took[i]})
		}
	}
	overRows := curveOf("A user is erased, over rows", "rows of the user in each service", fmt.Sprintf("until it is done, in %d services", len(s.shadow)), report.Milliseconds)
	overRows.LogX, overRows.LogY = true, true
	for _, rows := range w.Rows {
		took := make([][]float64, 2)
		for run := range w.Runs {
			for turn := range 2 {
				i := (turn + run) % 2
				d, err := s.erase(ctx, i == 0, rows)
				if err != nil {
					return section, err
				}
				took[i] = append(took[i], ms(d))
			}
		}
		for i := range 2 {
			overRows.Series[i].Points = append(overRows.Series[i].Points, report.Point{X: float64(rows), Values: took[i]})
		}
	}
	section.Curves = []report.Curve{written, overServices, overRows}
	section.Measures = []report.Measure{
		last(written, "one rename with %d services: bytes in Postgres's log"), last(overServices, "a user is erased in %d services"),
	}
	return section, nil
}

func curveOf(title, x, y string, unit report.Unit) report.Curve {
	return report.Curve{Title: title, X: x, Y: y, Unit: unit, Series: []report.Line{
		{Label: "shadow, a table in each", Archetype: report.Shadow}, {Label: "federated IDs", Archetype: report.Federated},
	}}
}

// last point of each line, as a measure.
func last(c report.Curve, name string) report.Measure {
	m := report.Measure{Unit: c.Unit}
	for _, l := range c.Series {
		p := l.Points[len(l.Points)-1]
		m.Name = fmt.Sprintf(name, int(p.X))
		m.Bars = append(m.Bars, report.Bar{Label: l.Label, Archetype: l.Archetype, Values: p.Values})
	}
	return m
}

// send one webhook to the shadow archetype's services, or to the relay.
func (s *nodes) send(ctx context.Context, shadow bool, kind string, data map[string]any) error {
	c := contender{receivers: []string{devstack.IdentityRelay}}
	if shadow {
		c.receivers = nil
		for _, n := range s.shadow {
			s.w.urls[n.name] = n.url
			c.receivers = append(c.receivers, n.name)
		}
	}
	return s.w.tell(ctx, c, kind, data)
}

func (s *nodes) renames(ctx context.Context, shadow bool) (float64, error) {
	ids := make([]string, nodeChanges)
	for i := range ids {
		s.w.made++
		ids[i] = fmt.Sprintf("renamed_%d", s.w.made)
	}
	if err := s.w.register(ctx, ids...); err != nil {
		return 0, err
	}
	wal, err := s.w.writtenBy(ctx, func() error {
		for _, id := range ids {
			if err := s.send(ctx, shadow, "user.updated", profile(id, "Somebody", time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
	return float64(wal) / nodeChanges, err
}

func (s *nodes) erase(ctx context.Context, shadow bool, rows int) (time.Duration, error) {
	s.w.made++
	id := fmt.Sprintf("erased_%d", s.w.made)
	all := s.federated
	if shadow {
		all = s.shadow
	}
	if err := s.give(ctx, all, id, rows, shadow); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := s.send(ctx, shadow, "user.deleted", map[string]any{"id": id}); err != nil {
		return 0, err
	}
	if !shadow {
		if err := s.w.erased(ctx); err != nil {
			return 0, err
		}
	}
	took := time.Since(begun)
	for _, n := range all {
		var left int
		if err := n.pool.QueryRow(ctx, `SELECT count(*) FROM things WHERE user_id = $1`, id).Scan(&left); err != nil {
			return 0, err
		}
		if left != 0 {
			return 0, fmt.Errorf("%d rows of an erased user are left at %s", left, n.name)
		}
	}
	return took, nil
}
