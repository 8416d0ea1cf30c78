package measure

import (
	"cmp"
	"slices"
	"time"
)

// Median of values in any order; there must be one.
func Median[T cmp.Ordered](values []T) T { return Quantile(values, 0.5) }

// Quantile of values in any order; there must be one.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	return At(slices.Sorted(slices.Values(values)), q)
}

// At is a quantile of sorted values.
func At[T any](sorted []T, q float64) T {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Round drops digits that say nothing.
func Round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
