package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Source is what documents may name: the tests, the text of the code, the targets
// of the Makefile.
type Source struct {
	tests   map[string]map[string]bool // folder → names
	text    map[string]string          // folder → all Go code in it
	lines   map[string][]string        // the same, without indentation and empty lines
	strings string                     // all Go code but the tests
	targets map[string]bool

	services map[string]bool
}

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	makeTarget   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// ReadSource reads the tree below root.
func ReadSource(root string) (*Source, error) {
	s := &Source{
		tests: map[string]map[string]bool{}, text: map[string]string{}, lines: map[string][]string{},
		targets: map[string]bool{}, services: map[string]bool{},
	}
	var all bytes.Buffer
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		raw, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // a file of the tree that is being read
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		s.text[folder] += string(raw)
		s.lines[folder] = append(s.lines[folder], lines(string(raw))...)
		if service, ok := strings.CutPrefix(folder, "services/"); ok && !strings.Contains(service, "/") {
			s.services[service] = true
		}
		if !strings.HasSuffix(name, "_test.go") {
			all.Write(raw)
		} else {
			for _, found := range testFunction.FindAllStringSubmatch(string(raw), -1) {
				if s.tests[folder] == nil {
					s.tests[folder] = map[string]bool{}
				}
				s.tests[folder][found[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	s.strings = all.String()
	raw, err := os.ReadFile(filepath.Join(root, "Makefile")) //nolint:gosec // the Makefile
	if err != nil {
		return nil, fmt.Errorf("read the targets: %w", err)
	}
	for _, found := range makeTarget.FindAllStringSubmatch(string(raw), -1) {
		s.targets[found[1]] = true
	}
	return s, nil
}

// named is a test as documents name it: a folder and a dot before it if several
// have one of the name, a subtest behind it.
var named = regexp.MustCompile(`^(?:([\w/-]+)\.)?((?:Test|Fuzz)[A-Z]\w*)(/.+)?$`)

// Test says whether the test exists; folder is where.
func (s *Source) Test(name string) (folder string, err error) {
	found := named.FindStringSubmatch(name)
	if found == nil {
		return "", fmt.Errorf("%q is no name of a test", name)
	}
	in, function, below := found[1], found[2], strings.Split(strings.TrimPrefix(found[3], "/"), "/")
	for f, functions := range s.tests {
		if (in == "" || in == f) && functions[function] && s.hasSubtests(f, below) {
			return f, nil
		}
	}
	return "", fmt.Errorf("there is no test %s", name)
}

func (s *Source) hasSubtests(folder string, names []string) bool {
	for _, name := range names {
		if !strings.Contains(s.text[folder], name) && !strings.Contains(s.text[folder], strings.ReplaceAll(name, "_", " ")) {
			return false
		}
	}
	return true
}

// has says whether the code, tests excluded, has the words as a string.
func (s *Source) has(words string) bool { return strings.Contains(s.strings, `"`+words+`"`) }

var (
	metric     = regexp.MustCompile(`^shadowless(\.[a-z_]+)+$`)
	makeInline = regexp.MustCompile(`^make((?: [a-z][a-z-]*)+)`)
)

// NameFaults finds names of tests, metrics and make targets that do not exist.
func NameFaults(s *Source, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		for _, c := range d.Codes {
			switch targets := makeInline.FindStringSubmatch(c.Text); {
			case named.MatchString(c.Text):
				if _, err := s.Test(c.Text); err != nil {
					faults = append(faults, d.fault(c.Line, "%s", err))
				}
			case metric.MatchString(c.Text) && !s.has(c.Text):
				faults = append(faults, d.fault(c.Line, "there is no metric %s", c.Text))
			case targets != nil:
				for target := range strings.FieldsSeq(targets[1]) {
					if !s.targets[target] {
						faults = append(faults, d.fault(c.Line, "make has no target %s", target))
					}
				}
			}
		}
	}
	return faults
}

// LogFaults finds lines of the log, in tables whose heading begins with "log
// line", that no code writes.
func LogFaults(s *Source, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		inside := false
		for _, line := range d.Lines {
			switch {
			case strings.HasPrefix(line.Text, "| log line"):
				inside = true
			case !strings.HasPrefix(line.Text, "|"):
				inside = false
			case inside:
				if found := code.FindStringSubmatch(line.Text); found != nil && !s.has(found[1]) {
					faults = append(faults, d.fault(line.Line, "nothing logs %q", found[1]))
				}
			}
		}
	}
	return faults
}
