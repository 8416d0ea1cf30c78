package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Format a number with three significant digits and a unit of a fitting size.
func (u Unit) Format(v float64) string {
	switch u {
	case Milliseconds:
		return scaled(v*1000, []step{{1, "µs"}, {1e3, "ms"}, {1e6, "s"}, {60e6, "min"}})
	case Bytes:
		return scaled(v, []step{{1, "B"}, {1 << 10, "KiB"}, {1 << 20, "MiB"}, {1 << 30, "GiB"}})
	default:
		return count(v)
	}
}

type step struct {
	size float64
	name string
}

func scaled(v float64, steps []step) string {
	chosen := steps[0]
	for _, s := range steps {
		if math.Abs(v) >= s.size {
			chosen = s
		}
	}
	return digits(v/chosen.size) + " " + chosen.name
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// count groups thousands; a broken number is an average.
func count(v float64) string {
	if v != math.Trunc(v) {
		return digits(v)
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if v < 0 {
		return "−" + text
	}
	return text
}

// format is "median [least–most]", or the value alone where all are the same.
func (s Spread) format(u Unit) string {
	if s.Least == s.Most {
		return u.Format(s.Median)
	}
	return u.Format(s.Median) + " " + s.brackets(u)
}

// brackets hold the least and the most, where they differ.
func (s Spread) brackets(u Unit) string {
	if s.Least == s.Most {
		return ""
	}
	return fmt.Sprintf("[%s–%s]", u.Format(s.Least), u.Format(s.Most))
}

// times is "×2.3 [2.1–2.6]", or nothing.
func times(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	s := SpreadOf(ratios)
	text := "×" + digits(s.Median)
	if len(ratios) > 1 {
		text += " [" + digits(s.Least) + "–" + digits(s.Most) + "]"
	}
	return strings.TrimSpace(text)
}
