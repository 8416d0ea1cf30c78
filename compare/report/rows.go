package report

import (
	"fmt"
	"strconv"
)

// row of a measure's table.
type row struct {
	Label     string
	Archetype Archetype
	Spread    string
	Ratio     string // to the measure's first bar
	Runs      int
}

func (m Measure) rows() []row {
	out := make([]row, 0, len(m.Bars))
	for i, b := range m.Bars {
		r := row{Label: b.Label, Archetype: b.Archetype, Spread: SpreadOf(b.Values).format(m.Unit), Runs: len(b.Values)}
		if i > 0 {
			r.Ratio = times(Ratios(b.Values, m.Bars[0].Values))
		} else if len(m.Bars) > 1 {
			r.Ratio = "×1"
		}
		out = append(out, r)
	}
	return out
}

// table of a curve: one row per size, one column per line.
func (c Curve) table() Table {
	t := Table{Title: c.Title + " (" + c.Y + ")", Head: []string{c.X}}
	var sizes []float64
	seen := map[float64]bool{}
	for _, line := range c.Series {
		t.Head = append(t.Head, line.Label)
		for _, p := range line.Points {
			if !seen[p.X] {
				seen[p.X] = true
				sizes = append(sizes, p.X)
			}
		}
	}
	for _, x := range sizes {
		cells := []string{Count.Format(x)}
		for _, line := range c.Series {
			cells = append(cells, line.at(x, c.Unit))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func (l Line) at(x float64, u Unit) string {
	for _, p := range l.Points {
		if p.X == x {
			return SpreadOf(p.Values).format(u)
		}
	}
	return "–"
}

// name of a winner, for people.
func (o Outcome) name() string {
	switch {
	case o.Winner == Shadow:
		return "shadow table"
	case o.Winner == Federated:
		return "federated IDs"
	case o.Unit == Count && o.Shadow.Median == o.Federated.Median:
		return "the same"
	case o.Unit != Count && o.Runs < clearRuns:
		return "not told by " + strconv.Itoa(o.Runs) + plural(o.Runs, " run", " runs")
	default:
		return "no clear difference"
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// subtitle is one line on what it ran.
func (r *Report) subtitle() string {
	text := fmt.Sprintf("%s users, %s orders, %d alternating %s; %s; %d processors, %s, %s, PostgreSQL %s (fsync %s), nats-server %s; the whole took %s.",
		Count.Format(float64(r.Scale.Users)), Count.Format(float64(r.Scale.Orders)), r.Scale.Runs, plural(r.Scale.Runs, "run", "runs"),
		r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Machine.Processors, r.Machine.System, r.Machine.Go,
		r.Machine.Postgres, r.Machine.Fsync, r.Machine.NATS, Milliseconds.Format(r.Seconds*1000))
	if r.Scale.Quick {
		text = "A quick run, whose numbers are rough: " + text
	}
	return text
}
