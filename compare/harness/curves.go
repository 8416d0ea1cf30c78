package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
)

const (
	nodeChanges = 40 // renames of one run
	nodeRows    = 10 // of a user in each service
)

// growth measures what a change costs with more services, and an erasure with
// more services and rows.
func growth(ctx context.Context, w *world) (section report.Section, err error) {
	section = report.Section{
		Title: "More services", Question: "What becomes of the cost of a change when there are two, four, eight services?",
		Method: []string{
			"Each service has a database of its own with one table of users' rows. In the shadow archetype each also has a table of users and receives each webhook; in the federated one each is a participant in erasures, and a rename concerns none of them. With one database for all, the shadow archetype has one table of users and one receiver of webhooks, and each service has a table with a foreign key to it. These services run in the harness's own process, with the archetypes' own code.",
			fmt.Sprintf("%d renames of users whom the shadow tables have, and one deletion a run, of users with %d rows in each service, or as many as the curve says. Bytes are the growth of Postgres's log, of every database, divided by the changes; the federated archetype's messages go to NATS, whose log is a line of its own.", nodeChanges, nodeRows),
			"The provider sends to all receivers at once. A deletion has ended when all have committed; in the federated archetype when all receipts are there and the certificate is written.",
		},
	}
	s := w.openNodes()
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	renamed := curveOf("Bytes that one rename writes, over services", "services", "growth of Postgres's log for each rename", report.Bytes)
	overServices := curveOf("A user is erased, over services", "services", fmt.Sprintf("until it is done, %d rows in each service", nodeRows), report.Milliseconds)
	deleted := curveOf("Bytes that one deletion writes, over services", "services", fmt.Sprintf("growth of Postgres's log for one deletion, %d rows in each service", nodeRows), report.Bytes)
	for _, n := range w.Services {
		if err := s.grow(ctx, n); err != nil {
			return section, err
		}
		ofRename, ofDeletion, took := newPoint(n), newPoint(n), newPoint(n)
		err := w.inTurns(ctx, func(_, i int, c contender) error {
			written, err := s.renames(ctx, c)
			if err != nil {
				return err
			}
			ofRename.add(i, written)
			var lasted time.Duration
			if written, lasted, err = s.erasesAndWrites(ctx, c); err != nil {
				return err
			}
			ofDeletion.add(i, written)
			took.values[i] = append(took.values[i], ms(lasted))
			return nil
		})
		if err != nil {
			return section, err
		}
		ofRename.onto(&renamed)
		ofDeletion.onto(&deleted)
		took.onto(&overServices)
	}
	overRows := curveOf("A user is erased, over rows", "rows of the user in each service", fmt.Sprintf("until it is done, in %d services", len(s.shadow)), report.Milliseconds)
	overRows.LogX, overRows.LogY = true, true
	for _, rows := range w.Rows {
		took := newPoint(rows)
		err := w.inTurns(ctx, func(_, i int, c contender) error {
			lasted, err := s.erase(ctx, c, rows)
			took.values[i] = append(took.values[i], ms(lasted))
			return err
		})
		if err != nil {
			return section, err
		}
		took.onto(&overRows)
	}
	section.Curves = []report.Curve{renamed, overServices, overRows, deleted}
	section.Measures = []report.Measure{
		last(renamed, "one rename with %d services: bytes in Postgres's log"), last(deleted, "one deletion with %d services: bytes in Postgres's log"),
		last(overServices, "a user is erased in %d services"),
	}
	return section, nil
}

// written by one change.
type written struct {
	postgres float64
	nats     *float64 // nil for who has nothing there
}

// inNATS is the line after those of the contenders, in curves of bytes.
const inNATS = "federated IDs, in NATS beside it"

// point of all lines of a curve at one size, with the values of each run.
type point struct {
	x      int
	values [][]float64 // of each contender
	nats   []float64
}

func newPoint(x int) *point { return &point{x: x, values: make([][]float64, len(contenders))} }

func (p *point) add(contender int, b written) {
	p.values[contender] = append(p.values[contender], b.postgres)
	if b.nats != nil {
		p.nats = append(p.nats, *b.nats)
	}
}

func (p *point) onto(c *report.Curve) {
	for i, line := range append(p.values, p.nats) {
		if i < len(c.Series) {
			c.Series[i].Points = append(c.Series[i].Points, report.Point{X: float64(p.x), Values: line})
		}
	}
}

// curveOf has a line for each contender, and where it is of bytes one for NATS.
func curveOf(title, x, y string, unit report.Unit) report.Curve {
	c := report.Curve{Title: title, X: x, Y: y, Unit: unit}
	for _, b := range bars() {
		c.Series = append(c.Series, report.Line{Label: b.Label, Archetype: b.Archetype})
	}
	if unit == report.Bytes {
		c.Series = append(c.Series, report.Line{Label: inNATS, Archetype: report.Neither})
	}
	return c
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
