package report

import (
	"html/template"
	"io"

	_ "embed"
)

//go:embed page.html
var pageSource string

// The page's own charts are the only markup that is not escaped here: svg.go
// escapes what they quote.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"bars":  func(m Measure) template.HTML { return template.HTML(m.chart()) }, //nolint:gosec // escaped where it is drawn
	"lines": func(c Curve) template.HTML { return template.HTML(c.chart()) },   //nolint:gosec // as above
	"rows":  Measure.rows,
	"table": Curve.table,
	"outcome": func(o Outcome) map[string]string {
		var one Spread
		text := "–"
		if o.OneDatabase != nil {
			one = *o.OneDatabase
			text = o.Unit.Format(one.Median)
		}
		return map[string]string{
			"one": text, "oneSpread": one.brackets(o.Unit),
			"shadow": o.Unit.Format(o.Shadow.Median), "shadowSpread": o.Shadow.brackets(o.Unit), "federated": o.Unit.Format(o.Federated.Median), "federatedSpread": o.Federated.brackets(o.Unit),
			"name": o.name(), "class": o.Winner.class(),
		}
	},
}).Parse(pageSource))

// HTML writes one page that needs nothing else: no script, no font, no picture
// from anywhere. It follows the reader's light or dark theme.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, map[string]any{
		"Title": title, "Subtitle": r.Subtitle(), "Reading": reading, "Report": r, "Groups": grouped(r.Outcomes()), "Advice": r.advice(), "Choice": r.Choice(),
	})
}

// grouped puts the outcomes of each section together.
func grouped(all []Outcome) (groups [][]Outcome) {
	for i, o := range all {
		if i == 0 || all[i-1].SectionID != o.SectionID {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], o)
	}
	return groups
}
