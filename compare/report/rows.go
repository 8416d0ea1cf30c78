package report

import (
	"fmt"
	"slices"
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

// Summary has a row for each outcome of the given sections, or of all. Better is
// told of the two that have the same databases.
func (r *Report) Summary(sections ...string) Table {
	t := Table{Head: []string{"question", "measured", "shadow table", "federated IDs", "better", "shadow, one database"}}
	last := ""
	for _, o := range r.Outcomes() {
		if len(sections) > 0 && !slices.Contains(sections, o.SectionID) {
			continue
		}
		question := o.Section
		if o.SectionID == last {
			question = "" // said above
		}
		last = o.SectionID
		t.Rows = append(t.Rows, []string{question, o.Name, o.Shadow.format(o.Unit), o.Federated.format(o.Unit), o.name(), o.one()})
	}
	return t
}

// CurveTable is the n-th curve of a section, from 0; it is empty where that was not measured.
func (r *Report) CurveTable(section string, n int) Table {
	for _, s := range r.Sections {
		if s.ID == section && n < len(s.Curves) {
			return s.Curves[n].table()
		}
	}
	return Table{}
}

// one is what the variant with one database was measured at.
func (o Outcome) one() string {
	if o.OneDatabase == nil {
		return "–"
	}
	return o.OneDatabase.format(o.Unit)
}

// name of a winner, for people. What ran once says so.
func (o Outcome) name() string {
	text := "no clear difference"
	switch {
	case o.Winner == Shadow:
		text = "shadow table"
	case o.Winner == Federated:
		text = "federated IDs"
	case o.Exact && o.Shadow == o.Federated:
		text = "the same"
	case !o.Exact && o.Runs < clearRuns:
		return "not told by " + strconv.Itoa(o.Runs) + plural(o.Runs, " run", " runs")
	}
	if o.Runs == 1 {
		text += " (one run)"
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Subtitle is one line on what it ran.
func (r *Report) Subtitle() string {
	text := fmt.Sprintf("%s users, %s orders, %d alternating %s; %s; %s, PostgreSQL %s (fsync %s), nats-server %s; the whole took %s.",
		Count.Format(float64(r.Scale.Users)), Count.Format(float64(r.Scale.Orders)), r.Scale.Runs, plural(r.Scale.Runs, "run", "runs"),
		r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Machine, r.Machine.Postgres, r.Machine.Fsync, r.Machine.NATS, Milliseconds.Format(r.Seconds*1000))
	if r.Machine.Revision != "" {
		text += " Revision " + r.Machine.Revision + "."
	}
	if r.Scale.Quick {
		text = "A quick run, whose numbers are rough: " + text
	}
	return text
}

// String tells the processors, the memory and the platform, as far as they are known.
func (m Machine) String() string {
	text := fmt.Sprintf("%d %s", m.Processors, plural(m.Processors, "processor", "processors"))
	if m.Model != "" {
		text += " (" + m.Model + ")"
	}
	if m.Memory > 0 {
		text += ", " + Bytes.Format(float64(m.Memory)) + " of memory"
	}
	return text + ", " + m.System + ", " + m.Go
}
