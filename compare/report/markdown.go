package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

const (
	title = "Shadow table or federated IDs: measured"
	// reading is how numbers are given.
	reading = "A number is the median of the runs, with the least and the most in brackets. A ratio compares each run with the same run of the first line, " +
		"and is the median of those. The archetypes take turns, so that what slows the machine for a while slows both. " +
		"Better is who is so in every run, of at least five, and by 5 % in the median; whole numbers are counted, and need one run. " +
		"It is told of the two variants with a database for each service; the shadow table with one database, which all services must share, stands beside them " +
		"where it was measured."
)

// Markdown writes the report for forges; curves are tables there.
func (r *Report) Markdown(w io.Writer) error {
	out := &markdown{w: bufio.NewWriter(w)}
	out.line("# %s\n", title)
	out.line("%s\n", text(r.Subtitle()))
	out.line("%s\n", reading)
	if summary := r.Summary(); len(summary.Rows) > 0 {
		out.line("## Summary\n")
		out.table(summary)
	}
	for _, s := range r.Sections {
		out.section(s)
	}
	out.line("## Where the shadow table wins, and when to choose it\n")
	out.list(r.advice())
	if choice := r.Choice(); len(choice.Rows) > 0 {
		out.line("## Four archetypes\n")
		out.table(choice)
	}
	return out.w.Flush()
}

// Markdown of a table alone, for pages that quote it.
func (t Table) Markdown() string {
	var out strings.Builder
	m := &markdown{w: bufio.NewWriter(&out)}
	m.table(t)
	_ = m.w.Flush() // a Builder does not fail
	return strings.TrimRight(out.String(), "\n")
}

// markdown keeps the writer's first error, which Flush returns.
type markdown struct{ w *bufio.Writer }

func (m *markdown) line(format string, values ...any) {
	_, _ = fmt.Fprintf(m.w, format+"\n", values...)
}

func (m *markdown) list(lines []string) {
	for _, l := range lines {
		m.line("- %s", text(l))
	}
	m.line("")
}

func (m *markdown) table(t Table) {
	if t.Title != "" {
		m.line("**%s**\n", text(t.Title))
	}
	m.row(t.Head)
	m.line("|%s", strings.Repeat(" --- |", len(t.Head)))
	for _, cells := range t.Rows {
		m.row(cells)
	}
	m.line("")
}

func (m *markdown) row(cells []string) {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = text(c)
	}
	m.line("| %s |", strings.Join(safe, " | "))
}

func (m *markdown) section(s Section) {
	m.line("## %s\n", text(s.Title))
	m.line("*%s*\n", text(s.Question))
	m.list(s.Method)
	for _, measure := range s.Measures {
		t := Table{Title: measure.Name, Head: []string{"what", "measured", "ratio", "runs"}}
		for _, r := range measure.rows() {
			t.Rows = append(t.Rows, []string{r.Label, r.Spread, r.Ratio, Count.Format(float64(r.Runs))})
		}
		m.table(t)
	}
	for _, c := range s.Curves {
		m.table(c.table())
	}
	for _, t := range s.Tables {
		m.table(t)
	}
}

// text cannot break out of its cell or become markup.
var escaper = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[")

func text(s string) string { return escaper.Replace(s) }
