package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Archetype is a way to integrate an identity provider.
type Archetype string

// The archetypes, and what belongs to neither: a floor, or a variant that both
// could have.
const (
	Shadow    Archetype = "shadow"
	Federated Archetype = "federated"
	Neither   Archetype = ""
)

// Unit of a number.
type Unit string

// Units. A whole count is exact; a broken one is an average, and everything else
// is measured.
const (
	Milliseconds Unit = "ms"
	Bytes        Unit = "B"
	Count        Unit = ""
)

// Report is one comparison.
type Report struct {
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // how long it took
	Machine  Machine   `json:"machine"`
	Scale    Scale     `json:"scale"`
	Sections []Section `json:"sections"`
}

// Machine is what it ran on.
type Machine struct {
	Processors int    `json:"processors"`
	Model      string `json:"model,omitempty"`    // of the processors
	Memory     int64  `json:"memory,omitempty"`   // in bytes
	Revision   string `json:"revision,omitempty"` // of the source
	System     string `json:"system"`
	Go         string `json:"go"`
	Postgres   string `json:"postgres"`
	Fsync      string `json:"fsync"`
	NATS       string `json:"nats"`
}

// Scale is how large it was.
type Scale struct {
	Users  int  `json:"users"`
	Orders int  `json:"orders"` // of all users together, at the start
	Runs   int  `json:"runs"`   // in turns: one archetype, then the other
	Quick  bool `json:"quick"`
}

// Section answers one question.
type Section struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Question string    `json:"question"`
	Method   []string  `json:"method"` // what was done, and what of it was simulated
	Measures []Measure `json:"measures,omitempty"`
	Curves   []Curve   `json:"curves,omitempty"`
	Tables   []Table   `json:"tables,omitempty"`
	Seconds  float64   `json:"seconds"`
}

// Measure is one thing that was measured of several; the first bar of each
// archetype is the one that the summary compares.
type Measure struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
	Bars []Bar  `json:"bars"`
	// MoreIsBetter turns the comparison around.
	MoreIsBetter bool `json:"more_is_better,omitempty"`
}

// Bar has the value of each run. The n-th values of all bars of a measure belong
// to the same run.
type Bar struct {
	Label     string    `json:"label"`
	Archetype Archetype `json:"archetype"`
	Values    []float64 `json:"values"`
}

// Curve is the same thing measured at several sizes.
type Curve struct {
	Title  string `json:"title"`
	X      string `json:"x"`
	Unit   Unit   `json:"unit"`
	Y      string `json:"y"`
	LogX   bool   `json:"log_x,omitempty"`
	LogY   bool   `json:"log_y,omitempty"`
	Series []Line `json:"series"`
}

// Line of a curve.
type Line struct {
	Label     string    `json:"label"`
	Archetype Archetype `json:"archetype"`
	Points    []Point   `json:"points"`
}

// Point has the value of each run at one size.
type Point struct {
	X      float64   `json:"x"`
	Values []float64 `json:"values"`
}

// Table is what no number says.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// Write puts report.json, report.md and report.html into dir, which is made.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a report is for everybody
		return fmt.Errorf("make the report's folder: %w", err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"report.json": r.JSON, "report.md": r.Markdown, "report.html": r.HTML,
	} {
		if err := create(filepath.Join(dir, name), write); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func create(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close() // the first error tells more
		return err
	}
	return file.Close()
}

// Read a report.json again, to render it anew.
func Read(path string) (*Report, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	return Parse(raw)
}

// Parse the bytes of a report.json.
func Parse(raw []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	return &r, nil
}

// JSON writes everything, the values of each run too.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}
