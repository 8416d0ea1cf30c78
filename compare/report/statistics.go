package report

import (
	"math"
	"slices"
)

// Spread is what is said of several runs.
type Spread struct{ Median, Least, Most float64 }

// SpreadOf values in any order; of none, zero. The median of an even number of
// values lies between the middle two.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Least: sorted[0], Most: sorted[len(sorted)-1]}
}

// Ratios of each run of a to the same run of b. Runs alternate, so that what
// slows the machine for a while slows both and cancels out. A run of b that is
// zero has no ratio.
func Ratios(a, b []float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

// clearRuns is how many runs it takes to call a difference clear. Of five pairs
// that do not really differ, all fall on one side by chance once in sixteen
// times, of six once in thirty-two; of three, once in four.
const clearRuns = 5

// clearPart is by how much of the larger median two must differ besides: what is
// the same to everybody who uses it has no winner.
const clearPart = 0.05

// Winner of a measure: who is better in every single run, of at least five, and by
// 5 % in the median. What is counted is exact, so one run decides it. Neither
// means that the runs do not tell.
func (m Measure) Winner() Archetype {
	shadow, federated := m.first(Shadow), m.first(Federated)
	if shadow == nil || federated == nil {
		return Neither
	}
	n := min(len(shadow.Values), len(federated.Values))
	if n == 0 || n < clearRuns && !m.exact() {
		return Neither
	}
	a, b := SpreadOf(shadow.Values).Median, SpreadOf(federated.Values).Median
	if math.Abs(a-b) < clearPart*max(math.Abs(a), math.Abs(b)) {
		return Neither
	}
	var winner Archetype
	for i := range n {
		s, f := shadow.Values[i], federated.Values[i]
		if s == f {
			return Neither
		}
		better := Shadow
		if (f < s) != m.MoreIsBetter {
			better = Federated
		}
		if i > 0 && better != winner {
			return Neither
		}
		winner = better
	}
	return winner
}

// exact reports whether all that is compared was counted. A broken number is an
// average, and is as uncertain as what is measured.
func (m Measure) exact() bool {
	if m.Unit != Count {
		return false
	}
	for _, a := range []Archetype{Shadow, Federated} {
		if bar := m.first(a); bar != nil && slices.ContainsFunc(bar.Values, func(v float64) bool { return v != math.Trunc(v) }) {
			return false
		}
	}
	return true
}

// OneDatabase is the label of the shadow table's variant with one database for
// all services, wherever it was measured.
const OneDatabase = "shadow, one database for all"

// inOneDatabase is that variant's bar, or nil.
func (m Measure) inOneDatabase() *Bar {
	i := slices.IndexFunc(m.Bars, func(b Bar) bool { return b.Label == OneDatabase })
	if i < 0 {
		return nil
	}
	return &m.Bars[i]
}

func (m Measure) first(a Archetype) *Bar {
	for i := range m.Bars {
		if m.Bars[i].Archetype == a {
			return &m.Bars[i]
		}
	}
	return nil
}

// Outcome is a line of the summary.
type Outcome struct {
	Section, SectionID, Name string
	Unit                     Unit
	Shadow, Federated        Spread
	OneDatabase              *Spread // of the shadow table with one database; nil where that was not measured
	Runs                     int
	Exact                    bool // one run tells
	Winner                   Archetype
}

// Outcomes of every measure that both archetypes have, in their order.
func (r *Report) Outcomes() []Outcome {
	var out []Outcome
	for _, s := range r.Sections {
		for _, m := range s.Measures {
			shadow, federated := m.first(Shadow), m.first(Federated)
			if shadow == nil || federated == nil {
				continue
			}
			o := Outcome{
				Section: s.Title, SectionID: s.ID, Name: m.Name, Unit: m.Unit, Shadow: SpreadOf(shadow.Values), Federated: SpreadOf(federated.Values),
				Runs: min(len(shadow.Values), len(federated.Values)), Exact: m.exact(), Winner: m.Winner(),
			}
			if one := m.inOneDatabase(); one != nil && len(one.Values) > 0 {
				spread := SpreadOf(one.Values)
				o.OneDatabase = &spread
			}
			out = append(out, o)
		}
	}
	return out
}
