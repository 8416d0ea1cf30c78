package report

// Measures of the charts, in pixels of their own; the page scales them.
const (
	chartWidth = 760
	labelWidth = 250
	rowHeight  = 30
	axisHeight = 34
	rightRoom  = 24
)

// chart shows every run of every bar as a dot, and the median as a stroke.
func (m Measure) chart() string {
	var all []float64
	for _, b := range m.Bars {
		all = append(all, b.Values...)
	}
	top := 8.0
	bottom := top + rowHeight*float64(len(m.Bars))
	d := newDrawing(chartWidth, bottom+axisHeight, m.Name)
	x := newScale(all, wide(all), labelWidth, chartWidth-rightRoom)
	x.binary = m.Unit == Bytes
	for _, tick := range x.ticks() {
		d.line("grid", x.at(tick), top, x.at(tick), bottom)
		d.label("tick middle", x.at(tick), bottom+16, m.Unit.Format(tick))
	}
	if x.log {
		d.label("note end", chartWidth-rightRoom, bottom+30, "logarithmic")
	}
	for i, b := range m.Bars {
		y := top + rowHeight*(float64(i)+0.5)
		d.label("name end", labelWidth-12, y+4, shorten(b.Label))
		s := SpreadOf(b.Values)
		class := b.Archetype.class()
		if !x.log {
			d.line("stem "+class, x.at(0), y, x.at(s.Median), y)
		} else {
			d.line("stem "+class, x.at(s.Least), y, x.at(s.Most), y)
		}
		for run, v := range b.Values {
			d.dot("run "+class, x.at(v), y, 4.5, b.Label+", run "+Count.Format(float64(run+1))+": "+m.Unit.Format(v))
		}
		d.line("median "+class, x.at(s.Median), y-9, x.at(s.Median), y+9)
	}
	return d.String()
}

// shorten keeps a label within its column; the table has it whole.
func shorten(label string) string {
	const most = 40
	runes := []rune(label)
	if len(runes) <= most {
		return label
	}
	return string(runes[:most-1]) + "…"
}
