package docs

import (
	"fmt"
	"path"
	"strings"
)

// MapFaults finds documents below docs/ to which no way leads from the map, over
// links between documents.
func MapFaults(documents []Document, start string) []error {
	links := map[string][]string{}
	for _, d := range documents {
		for _, l := range d.Links {
			target, _, _ := strings.Cut(l.Text, "#")
			name := path.Join(path.Dir(d.Path), target)
			links[d.Path] = append(links[d.Path], name, path.Join(name, "README.md"))
		}
	}
	reached := map[string]bool{start: true}
	for next := []string{start}; len(next) > 0; next = next[1:] {
		for _, name := range links[next[0]] {
			if !reached[name] {
				reached[name] = true
				next = append(next, name)
			}
		}
	}
	var faults []error
	for _, d := range documents {
		if strings.HasPrefix(d.Path, "docs/") && !strings.HasPrefix(d.Path, "docs/gen/") && !reached[d.Path] {
			faults = append(faults, fmt.Errorf("no way leads from %s to %s", start, d.Path))
		}
	}
	return faults
}
