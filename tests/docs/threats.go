package docs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Edges reads the arrows from docs/network.md, each once.
func Edges(network Document) []string {
	var edges []string
	for _, line := range network.Lines {
		cells := strings.Split(strings.Trim(line.Text, "| "), " | ")
		if strings.HasPrefix(line.Text, "|") && len(cells) == 4 && cells[0] != "from" {
			edges = append(edges, cells[0]+" → "+cells[1])
		}
	}
	sort.Strings(edges)
	return slices.Compact(edges)
}

// stride are the kinds of threats, by their letters.
const stride = "STRIDE"

var threatRow = regexp.MustCompile(`^\| ([STRIDE]) \|`)

// ThreatFaults holds the threat model to the drawing: each edge belongs to one
// section, each section says something about each letter, with a mitigation and a
// test that exists.
func ThreatFaults(s *Source, model Document, edges []string) []error {
	m := reading{source: s, model: model, edges: edges, covered: map[string]bool{}}
	for _, line := range model.Lines {
		m.line(line)
	}
	m.finish(0)
	for _, edge := range edges {
		if !m.covered[edge] {
			m.faults = append(m.faults, fmt.Errorf("%s: nothing about %s", model.Path, edge))
		}
	}
	return m.faults
}

// reading is where one stands in the threat model.
type reading struct {
	source  *Source
	model   Document
	edges   []string
	covered map[string]bool
	section string // its edges
	letters string // that it has said something about
	faults  []error
}

func (m *reading) line(line Text) {
	if strings.HasPrefix(line.Text, "#") {
		m.finish(line.Line)
	}
	if list, ok := strings.CutPrefix(line.Text, "Edges: "); ok {
		m.section = list
		for edge := range strings.SplitSeq(strings.TrimSuffix(list, "."), ", ") {
			if m.covered[edge] || !slices.Contains(m.edges, edge) {
				m.faults = append(m.faults, m.model.fault(line.Line, "%s is here twice or not in the drawing", edge))
			}
			m.covered[edge] = true
		}
	}
	if found := threatRow.FindStringSubmatch(line.Text); found != nil {
		m.letters += found[1]
		if err := m.source.threat(line.Text); err != nil {
			m.faults = append(m.faults, m.model.fault(line.Line, "%s", err))
		}
	}
}

// finish ends a section.
func (m *reading) finish(line int) {
	for _, letter := range stride {
		if m.section != "" && !strings.ContainsRune(m.letters, letter) {
			m.faults = append(m.faults, m.model.fault(line, "%s says nothing about %c", m.section, letter))
		}
	}
	m.section, m.letters = "", ""
}

// threat checks a row: letter, threat, mitigation, tests.
func (s *Source) threat(row string) error {
	cells := strings.Split(strings.Trim(row, "| "), " | ")
	if len(cells) != 4 || cells[1] == "" || cells[2] == "" {
		return fmt.Errorf("the row has %d cells, not letter, threat, mitigation and tests", len(cells))
	}
	names := code.FindAllStringSubmatch(cells[3], -1)
	if len(names) == 0 {
		return errors.New("no test is named")
	}
	for _, name := range names {
		if _, err := s.Test(name[1]); err != nil {
			return err
		}
	}
	return nil
}
