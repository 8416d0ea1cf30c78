package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// drawing collects the elements of one SVG. Everything that is text goes through
// label or hint, which escape; what else is written is numbers and our own names.
type drawing struct {
	b             strings.Builder
	width, height float64
}

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{width: width, height: height}
	d.add(`<svg viewBox="0 0 %s %s" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, px(width), px(height), html.EscapeString(title))
	return d
}

func (d *drawing) String() string { return d.b.String() + "</svg>" }

func (d *drawing) add(format string, values ...any) { fmt.Fprintf(&d.b, format+"\n", values...) }

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	d.add(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

func (d *drawing) label(class string, x, y float64, text string) {
	d.add(`<text class="%s" x="%s" y="%s">%s</text>`, class, px(x), px(y), html.EscapeString(text))
}

// dot with a text that shows under the pointer.
func (d *drawing) dot(class string, x, y, radius float64, hint string) {
	d.add(`<circle class="%s" cx="%s" cy="%s" r="%s"><title>%s</title></circle>`, class, px(x), px(y), px(radius), html.EscapeString(hint))
}

func (d *drawing) path(class string, points [][2]float64, closed bool) {
	var p strings.Builder
	for i, at := range points {
		p.WriteString(map[bool]string{true: "M", false: "L"}[i == 0])
		p.WriteString(px(at[0]) + " " + px(at[1]))
	}
	if closed {
		p.WriteString("Z")
	}
	d.add(`<path class="%s" d="%s"/>`, class, p.String())
}

func px(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", v), "0"), ".")
}

// class of what belongs to an archetype; the stylesheet has a color for each.
func (a Archetype) class() string {
	if a == Neither {
		return "neither"
	}
	return string(a)
}

// scale maps values onto pixels.
type scale struct {
	from, to   float64 // values
	start, end float64 // pixels
	log        bool
	binary     bool // bytes: round numbers are powers of two
}

// newScale covers the values; a linear one begins at zero.
func newScale(values []float64, log bool, start, end float64) scale {
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			least = min(least, v)
		}
		most = max(most, v)
	}
	if most <= 0 {
		return scale{from: 0, to: 1, start: start, end: end}
	}
	if !log {
		return scale{from: 0, to: most * 1.05, start: start, end: end}
	}
	from, to := math.Pow(10, math.Floor(math.Log10(least)+1e-9)), math.Pow(10, math.Ceil(math.Log10(most)-1e-9))
	if to <= from {
		to = from * 10
	}
	return scale{from: from, to: to, start: start, end: end, log: true}
}

func (s scale) at(v float64) float64 {
	part := 0.0
	switch {
	case !s.log:
		part = (v - s.from) / (s.to - s.from)
	case v > s.from: // what is zero or less stands at the edge
		part = math.Log(v/s.from) / math.Log(s.to/s.from)
	}
	return s.start + part*(s.end-s.start)
}

const mostTicks = 6

// ticks are round numbers within the scale.
func (s scale) ticks() []float64 {
	var out []float64
	if s.log {
		decades := math.Round(math.Log10(s.to / s.from))
		every := max(1, math.Ceil(decades/mostTicks))
		for i := 0.0; i <= decades; i += every {
			out = append(out, s.from*math.Pow(10, i))
		}
		return out
	}
	step := niceStep((s.to - s.from) / (mostTicks - 1))
	if s.binary {
		step = math.Exp2(math.Ceil(math.Log2((s.to - s.from) / mostTicks)))
	}
	for v := s.from; v <= s.to*(1+1e-9); v += step {
		out = append(out, v)
	}
	return out
}

// niceStep is the next of 1, 2, 5 times a power of ten.
func niceStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// wide says whether values differ so much that only a logarithmic scale shows
// the small ones.
func wide(values []float64) bool {
	const factor = 40
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v <= 0 {
			return false
		}
		least, most = min(least, v), max(most, v)
	}
	return most > factor*least
}
