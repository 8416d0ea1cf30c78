package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// Op does one operation; n counts up.
type Op func(n int) error

// Sample is one operation's cost, averaged over a slice of time.
type Sample struct {
	Nanos, Allocs, Bytes float64
}

// sampleFor runs op for about slice.
func sampleFor(op Op, from int, slice time.Duration) (Sample, int, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, n := cpuTime(), 0
	var used time.Duration
	for chunk := 16; used < slice; chunk = min(2*chunk, 4096) {
		for range chunk {
			if err := op(from + n); err != nil {
				return Sample{}, n, err
			}
			n++
		}
		used = cpuTime() - start
	}
	runtime.ReadMemStats(&after)
	return Sample{
		Nanos:  float64(used) / float64(n),
		Allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
	}, n, nil
}

// Result is what the rounds gave for one operation.
type Result struct {
	Nanos, Ratio, Allocs, Bytes Spread
}

// Spread is a median with its quartiles.
type Spread struct{ Low, Median, High float64 }

func spreadOf(values []float64) Spread {
	slices.Sort(values)
	at := func(q float64) float64 { return values[int(q*float64(len(values)-1)+0.5)] }
	return Spread{Low: at(0.25), Median: at(0.5), High: at(0.75)}
}

// Compare runs the operations in turns, in a new random order each round, so
// that what else the machine does meets all of them. Each ratio is to the first
// operation in the same round. The first round warms up and does not count.
func Compare(ops []Op, rounds int, slice time.Duration) ([]Result, error) {
	samples := make([][]Sample, len(ops))
	done := make([]int, len(ops))
	for round := range rounds + 1 {
		current := make([]Sample, len(ops))
		for _, k := range rand.Perm(len(ops)) { //nolint:gosec // an order is no secret
			s, n, err := sampleFor(ops[k], done[k], slice)
			if err != nil {
				return nil, fmt.Errorf("operation %d: %w", k, err)
			}
			done[k] += n
			current[k] = s
		}
		if round == 0 {
			continue
		}
		for k, s := range current {
			samples[k] = append(samples[k], s)
		}
	}
	results := make([]Result, len(ops))
	for k := range ops {
		of := func(value func(round int) float64) Spread {
			values := make([]float64, rounds)
			for round := range values {
				values[round] = value(round)
			}
			return spreadOf(values)
		}
		results[k] = Result{
			Nanos:  of(func(r int) float64 { return samples[k][r].Nanos }),
			Ratio:  of(func(r int) float64 { return samples[k][r].Nanos / samples[0][r].Nanos }),
			Allocs: of(func(r int) float64 { return samples[k][r].Allocs }),
			Bytes:  of(func(r int) float64 { return samples[k][r].Bytes }),
		}
	}
	return results, nil
}
