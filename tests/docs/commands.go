package docs

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CommandFaults finds commands in sentences that do nothing as they stand there:
// those of Go by their packages and tests, a service's by its flags.
func CommandFaults(s *Source, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		for _, c := range d.Codes {
			words := strings.Fields(c.Text)
			var err error
			switch {
			case len(words) < 2, len(words) > 2 && words[2] == ours: // cmd/shadowless checks it
			case words[0] == "go" && slices.Contains(goVerbs, words[1]):
				err = s.line(folders(d.Path), c.Text)
			case s.services[words[0]] && strings.HasPrefix(words[1], "-") && !s.has(strings.TrimLeft(words[1], "-")):
				err = fmt.Errorf("%s has no flag %s", words[0], words[1])
			}
			if err != nil {
				faults = append(faults, d.fault(c.Line, "%s", err))
			}
		}
	}
	return faults
}

// folders are the document's and those above it, up to the root.
func folders(document string) []string {
	var list []string
	for folder := path.Dir(document); ; folder = path.Dir(folder) {
		if list = append(list, folder); folder == "." {
			return list
		}
	}
}

var goVerbs = []string{"run", "test", "build"}

// script wants nothing but commands that can be held against the source.
func (s *Source) script(text string) error {
	folder := "."
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(shComment.ReplaceAllString(line, ""))
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "cd" && len(words) == 2 {
			folder = words[1]
			continue
		}
		if err := s.line([]string{folder}, line); err != nil {
			return err
		}
	}
	return nil
}

var shComment = regexp.MustCompile(`(^|\s)#.*`)

// ours is our own command, as it is run without being installed.
const ours = "./cmd/shadowless"

// measured are its commands that take longer than a test may. That it takes their
// words is a test of cmd/shadowless.
var measured = []string{"compare"}

// line takes one command, run in one of the folders.
func (s *Source) line(in []string, line string) error {
	words, err := split(line)
	switch {
	case err != nil:
		return fmt.Errorf("%q: %w", line, err)
	case words[0] == "make":
		for _, target := range words[1:] {
			if !strings.Contains(target, "=") && !s.targets[target] {
				return fmt.Errorf("make has no target %s", target)
			}
		}
		return nil
	case words[0] == "go" && len(words) > 3 && words[1] == "run" && words[2] == ours && slices.Contains(measured, words[3]):
		return nil
	case words[0] == "go" && len(words) > 2 && words[2] != ours && slices.Contains(goVerbs, words[1]):
		return s.goCommand(in, words[1:])
	}
	return fmt.Errorf("nothing proves %q: name the test that runs the block, or say why it is an illustration", line)
}

var errShell = errors.New("what a shell makes of it is proven by nothing but a test that runs it")

// split takes a line into words, as a shell does. Of a line that is more than one
// plain command, the rest would pass unread: it is refused.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inside := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == '\'', quote == '"' && !strings.ContainsRune("$`\\", r):
			word.WriteRune(r)
		case quote != 0, strings.ContainsRune("|&;<>()$`\\", r):
			return nil, errShell
		case r == '\'' || r == '"':
			quote, inside = r, true
		case r == ' ' || r == '\t':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, errShell
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// valueFlags are those of go whose value is the next word.
var valueFlags = []string{"run", "bench", "count", "timeout", "tags", "cpu", "cpuprofile", "memprofile", "benchtime", "parallel", "p", "o"}

// goCommand takes the words after go: the packages must be there, and each that is
// tested by name must have a test of that name.
func (s *Source) goCommand(in, words []string) error {
	var packages []string
	flags := map[string]string{}
	for i := 1; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i], "-")
		switch name, value, hasValue := strings.Cut(name, "="); {
		case isFlag && (hasValue || !slices.Contains(valueFlags, name)):
			flags[name] = value
		case isFlag:
			if i++; i == len(words) {
				return fmt.Errorf("-%s has no value", name)
			}
			flags[name] = words[i]
		default:
			packages = append(packages, words[i])
		}
		if len(packages) > 0 && words[0] == "run" {
			break // the rest is the program's
		}
	}
	for _, p := range packages {
		if p != "." && !strings.HasPrefix(p, "./") {
			return fmt.Errorf("%s is no package of this repository", p)
		}
		folder, err := s.there(in, p)
		if err != nil {
			return err
		}
		if words[0] == "run" && !strings.Contains("\n"+s.text[folder], "\npackage main\n") {
			return fmt.Errorf("%s is no program", p)
		}
		for _, kind := range []struct{ flag, functions string }{{"run", "Test|Fuzz|Example"}, {"bench", "Benchmark"}} {
			if err := s.matches(folder, flags[kind.flag], kind.functions); err != nil {
				return fmt.Errorf("go test %s -%s: %w", p, kind.flag, err)
			}
		}
	}
	return nil
}

// there is the folder of a package, seen from one of the folders.
func (s *Source) there(in []string, name string) (string, error) {
	for _, folder := range in {
		found := path.Join(folder, name)
		for have := range s.text {
			if within(have, found) {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("there is no package %s", name)
}

// within says whether a folder is the one that is named, or below it where the
// name ends in dots.
func within(folder, name string) bool {
	above, all := strings.CutSuffix(name, "...")
	return folder == name || all && strings.HasPrefix(folder+"/", above)
}

// nothing are patterns that choose no test, so that benchmarks alone run.
var nothing = []string{"", "^$", "xxx"}

// matches wants a function whose name begins with one of the kinds and that the
// pattern chooses.
func (s *Source) matches(folder, pattern, kinds string) error {
	if slices.Contains(nothing, pattern) {
		return nil
	}
	first, _, _ := strings.Cut(pattern, "/")
	chosen, err := regexp.Compile(first)
	if err != nil {
		return err
	}
	kind := regexp.MustCompile("^(" + kinds + ")")
	for in, functions := range s.tests {
		for name := range functions {
			if within(in, folder) && kind.MatchString(name) && chosen.MatchString(name) {
				return nil
			}
		}
	}
	return fmt.Errorf("no test is called %s", pattern)
}
