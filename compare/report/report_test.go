package report

import (
	"bytes"
	"encoding/xml"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nasty is what a name must not be able to do.
const nasty = `<script>alert("1 & 2")</script>|*x*`

func example() *Report {
	return &Report{
		Started: time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), Seconds: 61,
		Scale: Scale{Users: 100_000, Orders: 200_000, Runs: 5},
		Sections: []Section{{
			ID: "names", Title: "Names " + nasty, Question: "What does a name cost? " + nasty, Method: []string{"a replayed schedule " + nasty},
			Measures: []Measure{{Name: "listing " + nasty, Unit: Milliseconds, Bars: []Bar{
				{Label: "JOIN " + nasty, Archetype: Shadow, Values: []float64{1, 2, 3, 4, 5}},
				{Label: "directory, warm", Archetype: Federated, Values: []float64{2, 4, 6, 8, 10}},
				{Label: "floor", Values: []float64{0.5, 0.5, 0.5, 0.5, 0.5}},
			}}},
			Curves: []Curve{{Title: "over services " + nasty, X: "services", Y: "WAL", Unit: Bytes, Series: []Line{
				{Label: "shadow " + nasty, Archetype: Shadow, Points: []Point{{1, []float64{1024}}, {2, []float64{2048, 4096}}}},
				{Label: "federated", Archetype: Federated, Points: []Point{{1, []float64{512}}, {4, []float64{512}}}},
			}}},
			Tables: []Table{{Title: "t " + nasty, Head: []string{"a"}, Rows: [][]string{{nasty}}}},
		}, {
			ID: delegation, Title: "Delegation",
			Measures: []Measure{{Name: "reading", Unit: Milliseconds, Bars: []Bar{
				{Label: "shadow × own rules", Archetype: Shadow, Values: []float64{1}}, {Label: "shadow × full delegation", Archetype: Shadow, Values: []float64{11}},
				{Label: "federated × own rules", Archetype: Federated, Values: []float64{2}}, {Label: "federated × full delegation", Archetype: Federated, Values: []float64{12}},
			}}},
		}},
	}
}

func write(t *testing.T, fn func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, fn(&b))
	return b.String()
}

func TestHTML_NeedsNothingElseAndEscapesEverything(t *testing.T) {
	t.Parallel()
	page := write(t, func(b *bytes.Buffer) error { return example().HTML(b) })
	require.NotContains(t, page, "<script")
	require.NotRegexp(t, `(?i)(src|href)\s*=\s*"(https?:)?//`, page, "nothing is loaded from anywhere")
	require.NotContains(t, page, "@import")
	require.NotContains(t, page, "url(")
	require.Contains(t, page, "prefers-color-scheme: dark")
	require.Contains(t, page, "&lt;script&gt;")
	require.Equal(t, 3, strings.Count(page, "<svg "))
	require.Equal(t, 3, strings.Count(page, "</svg>"))
}

func TestCharts_AreWellFormedAndShowEveryRun(t *testing.T) {
	t.Parallel()
	s := example().Sections[0]
	for _, chart := range []string{s.Measures[0].chart(), s.Curves[0].chart()} {
		decoder := xml.NewDecoder(strings.NewReader(chart))
		decoder.Strict = true
		for {
			_, err := decoder.Token()
			if err != nil {
				require.ErrorContains(t, err, "EOF")
				break
			}
		}
		require.NotContains(t, chart, "NaN")
		require.NotContains(t, chart, "Inf")
	}
	require.Equal(t, 15, strings.Count(s.Measures[0].chart(), "<circle"), "three bars of five runs")
	require.Equal(t, 4, strings.Count(s.Curves[0].chart(), "<circle"), "two lines of two sizes")
	for _, match := range regexp.MustCompile(`cx="([\d.]+)"`).FindAllStringSubmatch(s.Measures[0].chart(), -1) {
		require.NotEmpty(t, match[1])
	}
}

func TestMarkdown_CellsStayCells(t *testing.T) {
	t.Parallel()
	text := write(t, func(b *bytes.Buffer) error { return example().Markdown(b) })
	require.NotContains(t, text, "<script")
	var columns int
	for line := range strings.Lines(text) {
		cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		switch {
		case cells == 0:
			columns = 0
		case columns == 0:
			columns = cells
		default:
			require.Equal(t, columns, cells, line)
		}
	}
	require.Contains(t, text, "×2.00 \\[2.00–2.00]")
	require.Contains(t, text, "| 4 | – | 512 B |", "a size that a line lacks")
}

func TestJSON_KeepsTheRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, create(path, example().JSON))
	again, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, example(), again)
	_, err = Read(path + ".not")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("<html>"), 0o600))
	_, err = Read(path)
	require.ErrorContains(t, err, "read a report")
}

func TestChoice_HasWhatEachOfTheFourWasMeasuredAt(t *testing.T) {
	t.Parallel()
	choice := example().Choice()
	require.Len(t, choice.Rows, 4)
	require.Equal(t, []string{"federated × full delegation", "the provider, at each request", "12.0 ms"}, choice.Rows[3][:3])
	for _, row := range choice.Rows {
		require.Len(t, row, len(choice.Head))
	}
	require.Empty(t, (&Report{}).Choice().Rows, "it was not measured")
}

func TestAdvice_SaysWhereTheShadowTableWon(t *testing.T) {
	t.Parallel()
	advice := example().advice()
	require.Contains(t, advice[0], "3.00 ms [1.00 ms–5.00 ms] with a shadow table")
	require.Equal(t, when, advice[1:])
}

func TestWrite_ThreeFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, example().Write(dir))
	for _, name := range []string{"report.html", "report.md", "report.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotZero(t, info.Size())
	}
	require.Error(t, example().Write(filepath.Join(dir, "report.md")), "a file is no folder")
}

func TestSpread(t *testing.T) {
	t.Parallel()
	require.Equal(t, Spread{2.5, 1, 4}, SpreadOf([]float64{4, 1, 3, 2}))
	require.Equal(t, Spread{3, 1, 9}, SpreadOf([]float64{9, 1, 3}))
	require.Equal(t, Spread{}, SpreadOf(nil))
	require.Equal(t, []float64{2, 0.5}, Ratios([]float64{2, 7, 1}, []float64{1, 0, 2, 9}))
}

func TestWinner_OnlyWhereEveryRunAgrees(t *testing.T) {
	t.Parallel()
	measure := func(unit Unit, shadow, federated []float64) Measure {
		return Measure{Unit: unit, Bars: []Bar{{Archetype: Shadow, Values: shadow}, {Archetype: Federated, Values: federated}}}
	}
	five, less := []float64{5, 5, 5, 5, 5}, []float64{4, 4, 4, 4, 4}
	require.Equal(t, Federated, measure(Milliseconds, five, less).Winner())
	require.Equal(t, Shadow, measure(Milliseconds, less, five).Winner())
	require.Equal(t, Neither, measure(Milliseconds, five, []float64{4, 4, 4, 4, 6}).Winner())
	require.Equal(t, Neither, measure(Milliseconds, five, five).Winner())
	require.Equal(t, Neither, measure(Milliseconds, five[:4], less).Winner(), "four runs do not tell")
	require.Equal(t, Shadow, measure(Count, []float64{0}, []float64{1}).Winner(), "a count is exact")
	require.Equal(t, Neither, measure(Count, nil, []float64{1}).Winner())
	require.Equal(t, Neither, measure(Count, []float64{4}, []float64{5.45}).Winner(), "an average is not exact")
	require.Equal(t, Shadow, measure(Count, less, []float64{5.45, 5.45, 5.45, 5.45, 5.45}).Winner(), "but five agree")
	near := []float64{4.8, 4.8, 4.8, 4.8, 4.8}
	require.Equal(t, Neither, measure(Milliseconds, five, near).Winner(), "nobody notices 4 %")
	m := measure(Count, []float64{0}, []float64{1})
	m.MoreIsBetter = true
	require.Equal(t, Federated, m.Winner())
}

func TestSummary_HasTheOneDatabaseAndSaysWhatRanOnce(t *testing.T) {
	t.Parallel()
	r := &Report{Sections: []Section{{ID: "a", Title: "A", Measures: []Measure{
		{Name: "counted", Unit: Count, Bars: []Bar{{Archetype: Shadow, Values: []float64{2}}, {Archetype: Federated, Values: []float64{1}}, {Label: OneDatabase, Archetype: Shadow, Values: []float64{7}}}},
		{Name: "same", Unit: Count, Bars: []Bar{{Archetype: Shadow, Values: []float64{2}}, {Archetype: Federated, Values: []float64{2}}}},
		{Name: "average", Unit: Count, Bars: []Bar{{Archetype: Shadow, Values: []float64{4}}, {Archetype: Federated, Values: []float64{5.5}}}},
	}}}}
	require.Equal(t, [][]string{
		{"A", "counted", "2", "1", "federated IDs (one run)", "7"},
		{"", "same", "2", "2", "the same (one run)", "–"},
		{"", "average", "4", "5.50", "not told by 1 run", "–"},
	}, r.Summary().Rows)
	require.Empty(t, r.Summary("b").Rows)
	page := write(t, func(b *bytes.Buffer) error { return r.HTML(b) })
	require.Contains(t, page, "<td>7<small>")
}

func TestSubtitle_SaysWhatItRanOn(t *testing.T) {
	t.Parallel()
	r := example()
	require.NotContains(t, r.Subtitle(), "evision")
	r.Machine = Machine{Processors: 1, Model: "Some CPU", Memory: 2 << 30, System: "linux/amd64", Go: "go1", Revision: "0123456789ab with changes"}
	require.Contains(t, r.Subtitle(), "1 processor (Some CPU), 2.00 GiB of memory, linux/amd64, go1, PostgreSQL")
	require.Contains(t, r.Subtitle(), "Revision 0123456789ab with changes.")
}

func TestApart_NamesStayWithinTheChart(t *testing.T) {
	t.Parallel()
	ends := apart([]end{{y: 290}, {y: 289}, {y: 10}, {y: 288}}, 290)
	require.Equal(t, []end{{y: 10}, {y: 256}, {y: 273}, {y: 290}}, ends)
	require.Equal(t, []end{{y: 10}, {y: 27}}, apart([]end{{y: 10}, {y: 12}}, 290))
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Milliseconds, 0.0123, "12.3 µs"}, {Milliseconds, 2, "2.00 ms"}, {Milliseconds, 1500, "1.50 s"}, {Milliseconds, 120_000, "2.00 min"},
		{Bytes, 0, "0 B"}, {Bytes, 1536, "1.50 KiB"}, {Bytes, 3 << 30, "3.00 GiB"},
		{Count, 1234567, "1,234,567"}, {Count, 0, "0"}, {Count, 2.5, "2.50"}, {Count, -1200, "−1,200"},
	} {
		require.Equal(t, c.want, c.unit.Format(c.v))
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	linear := newScale([]float64{3, 9}, false, 0, 100)
	require.InDelta(t, 0, linear.at(0), 1e-9)
	require.Less(t, linear.at(9), 100.0)
	log := newScale([]float64{2, 300}, true, 0, 300)
	require.InDelta(t, 100, log.at(10), 1e-9)
	require.InDelta(t, 0, log.at(0), 1e-9, "zero stands at the edge")
	require.Equal(t, []float64{1, 10, 100, 1000}, log.ticks())
	binary := newScale([]float64{4000}, false, 0, 1)
	binary.binary = true
	require.Equal(t, []float64{0, 1024, 2048, 3072, 4096}, binary.ticks())
	require.NotEmpty(t, newScale([]float64{0}, true, 0, 1).ticks(), "nothing was measured")
	require.True(t, wide([]float64{1, 100}))
	require.False(t, wide([]float64{0, 100}))
}
