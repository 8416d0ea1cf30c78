package report

import (
	"cmp"
	"slices"
)

const (
	linesHeight = 340
	leftRoom    = 76
	labelsRoom  = 250
)

// chart draws each line through the medians, over a band from the least to the
// most, with its name at its end.
func (c Curve) chart() string {
	var xs, ys []float64
	for _, l := range c.Series {
		for _, p := range l.Points {
			xs = append(xs, p.X)
			ys = append(ys, p.Values...)
		}
	}
	top, bottom, right := 14.0, float64(linesHeight-52), float64(chartWidth-labelsRoom)
	d := newDrawing(chartWidth, linesHeight, c.Title)
	x, y := newScale(xs, c.LogX, leftRoom, right), newScale(ys, c.LogY, bottom, top)
	y.binary = c.Unit == Bytes
	for _, tick := range y.ticks() {
		d.line("grid", leftRoom, y.at(tick), right, y.at(tick))
		d.label("tick end", leftRoom-8, y.at(tick)+4, c.Unit.Format(tick))
	}
	for _, size := range distinct(xs) {
		d.label("tick middle", x.at(size), bottom+18, Count.Format(size))
		d.line("grid", x.at(size), bottom, x.at(size), bottom+5)
	}
	d.label("name middle", (leftRoom+right)/2, bottom+40, c.X)
	ends := make([]end, 0, len(c.Series))
	for i, l := range c.Series {
		if len(l.Points) == 0 {
			continue
		}
		class := l.Archetype.class() + " " + variant(c.Series[:i], l.Archetype)
		d.series(l, class, c.Unit, x, y)
		last := l.Points[len(l.Points)-1]
		ends = append(ends, end{y: y.at(SpreadOf(last.Values).Median), label: l.Label, class: class})
	}
	for _, e := range apart(ends, bottom) {
		d.line("key "+e.class, right+8, e.y, right+28, e.y)
		d.label("name", right+34, e.y+4, shorten(e.label))
	}
	return d.String()
}

// variant tells lines of one archetype apart by their strokes, not by color alone.
func variant(before []Line, a Archetype) string {
	n := 0
	for _, l := range before {
		if l.Archetype == a {
			n++
		}
	}
	return []string{"solid", "dashed", "dotted", "dashdot"}[n%4]
}

func (d *drawing) series(l Line, class string, u Unit, x, y scale) {
	var middle, band, back [][2]float64
	for _, p := range l.Points {
		s := SpreadOf(p.Values)
		middle = append(middle, [2]float64{x.at(p.X), y.at(s.Median)})
		band = append(band, [2]float64{x.at(p.X), y.at(s.Most)})
		back = append(back, [2]float64{x.at(p.X), y.at(s.Least)})
	}
	slices.Reverse(back)
	d.path("band "+class, append(band, back...), true)
	d.path("line "+class, middle, false)
	for i, p := range l.Points {
		d.dot("run "+class, middle[i][0], middle[i][1], 4, l.Label+", "+Count.Format(p.X)+": "+SpreadOf(p.Values).format(u))
	}
}

// end of a line, where its name stands.
type end struct {
	y            float64
	label, class string
}

// apart moves names that would cover each other, and keeps the lowest above bottom.
func apart(ends []end, bottom float64) []end {
	const room = 17
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(ends); i++ {
		ends[i].y = max(ends[i].y, ends[i-1].y+room)
	}
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i].y = min(ends[i].y, bottom)
		bottom = ends[i].y - room
	}
	return ends
}

func distinct(values []float64) []float64 {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}
