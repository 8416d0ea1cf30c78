package docs

import (
	"regexp"
	"strings"
)

var (
	upperCase = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
	tableName = regexp.MustCompile("^\\| `([A-Z0-9_]+)` \\|")
)

// reference is the document with all variables. It is written from the code.
const reference = "docs/configuration.md"

// VariableFaults finds environment variables, in sentences and blocks, that
// nothing reads: a service's, by its prefix, must be in the reference, our own
// command's in its source.
func VariableFaults(s *Source, documents []Document) []error {
	known := map[string]bool{}
	for _, d := range documents {
		for _, line := range d.Lines {
			if found := tableName.FindStringSubmatch(line.Text); found != nil && d.Path == reference {
				known[found[1]] = true
			}
		}
	}
	var faults []error
	for _, d := range documents {
		check := func(line int, text string) {
			for _, name := range upperCase.FindAllString(text, -1) {
				switch {
				case strings.HasPrefix(name, "SHADOWLESS_") && !s.has(name):
					faults = append(faults, d.fault(line, "nothing reads %s", name))
				case s.ofService(name) && !known[name]:
					faults = append(faults, d.fault(line, "%s is not in %s", name, reference))
				}
			}
		}
		for _, c := range d.Codes {
			check(c.Line, c.Text)
		}
		for _, b := range d.Blocks {
			check(b.Line, b.Text)
		}
	}
	return faults
}

// ofService says whether the name has the prefix of a service's own variables.
func (s *Source) ofService(name string) bool {
	for service := range s.services {
		if strings.HasPrefix(name, strings.ToUpper(strings.ReplaceAll(service, "-", "_"))+"_") {
			return true
		}
	}
	return false
}
