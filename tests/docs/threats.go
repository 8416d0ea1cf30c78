package docs

import (
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
	var faults []error
	covered := map[string]bool{}
	title, letters := "", ""
	finish := func(line int) {
		for _, letter := range stride {
			if title != "" && !strings.ContainsRune(letters, letter) {
				faults = append(faults, model.fault(line, "%s says nothing about %c", title, letter))
			}
		}
	}
	for _, line := range model.Lines {
		if strings.HasPrefix(line.Text, "#") {
			finish(line.Line)
			title, letters = "", ""
		}
		if list, ok := strings.CutPrefix(line.Text, "Edges: "); ok {
			title = list
			for edge := range strings.SplitSeq(strings.TrimSuffix(list, "."), ", ") {
				if covered[edge] || !slices.Contains(edges, edge) {
					faults = append(faults, model.fault(line.Line, "%s is here twice or not in the drawing", edge))
				}
				covered[edge] = true
			}
		}
		if found := threatRow.FindStringSubmatch(line.Text); found != nil {
			letters += found[1]
			if err := s.threat(line.Text); err != nil {
				faults = append(faults, model.fault(line.Line, "%s", err))
			}
		}
	}
	finish(0)
	for _, edge := range edges {
		if !covered[edge] {
			faults = append(faults, fmt.Errorf("%s: nothing about %s", model.Path, edge))
		}
	}
	return faults
}

// threat checks a row: letter, threat, mitigation, tests.
func (s *Source) threat(row string) error {
	cells := strings.Split(strings.Trim(row, "| "), " | ")
	if len(cells) != 4 || cells[1] == "" || cells[2] == "" {
		return fmt.Errorf("the row has %d cells, not letter, threat, mitigation and tests", len(cells))
	}
	names := code.FindAllStringSubmatch(cells[3], -1)
	if len(names) == 0 {
		return fmt.Errorf("no test is named")
	}
	for _, name := range names {
		if _, err := s.Test(name[1]); err != nil {
			return err
		}
	}
	return nil
}
