package gen

import (
	"bytes"
	_ "embed"
	"text/template"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/compare/results"
)

// archetypesSource is the page, written by hand but for the numbers.
//
//go:embed archetypes.md.tmpl
var archetypesSource string

// archetypes quotes the reports that are kept; nobody copies a number.
func archetypes() []byte {
	page, err := template.New("archetypes").Parse(archetypesSource)
	if err != nil {
		panic(err) // the source is a part of this program, and so are the reports
	}
	reports := map[string]*report.Report{}
	for name, raw := range map[string][]byte{"Usual": results.Usual, "Million": results.Million} {
		if reports[name], err = report.Parse(raw); err != nil {
			panic(err)
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, reports); err != nil {
		panic(err)
	}
	return out.Bytes()
}
