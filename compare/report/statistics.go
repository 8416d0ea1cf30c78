package report

import (
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
// times; of three, once in four.
const clearRuns = 5

// Winner of a measure: who is better in every single run, of at least five. A
// count is exact, so one run decides it. Neither means that the runs do not tell.
func (m Measure) Winner() Archetype {
	shadow, federated := m.first(Shadow), m.first(Federated)
	if shadow == nil || federated == nil {
		return Neither
	}
	n := min(len(shadow.Values), len(federated.Values))
	if n == 0 || n < clearRuns && m.Unit != Count {
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
	Runs                     int
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
			out = append(out, Outcome{
				Section: s.Title, SectionID: s.ID, Name: m.Name, Unit: m.Unit, Shadow: SpreadOf(shadow.Values), Federated: SpreadOf(federated.Values),
				Runs: min(len(shadow.Values), len(federated.Values)), Winner: m.Winner(),
			})
		}
	}
	return out
}
