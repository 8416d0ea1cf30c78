package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// BlockFaults finds blocks that nothing proves. Go blocks are SnippetFaults'.
func BlockFaults(root string, s *Source, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		for _, b := range d.Blocks {
			if err := b.proof(root, s, d.Path); err != nil {
				faults = append(faults, d.fault(b.Line, "%s", err))
			}
		}
	}
	return faults
}

func (b Block) proof(root string, s *Source, document string) error {
	if reason, ok := strings.CutPrefix(b.Mark, "illustration:"); ok {
		if strings.TrimSpace(reason) == "" {
			return errors.New("the illustration has no reason")
		}
		return nil
	}
	if test, ok := strings.CutPrefix(b.Mark, "run by "); ok {
		return ranBy(s, document, test)
	}
	switch b.Language {
	case "sh":
		return checkable(root, s, b.Text)
	case "yaml":
		return parses(b.Text)
	case "json":
		if !json.Valid([]byte(b.Text)) {
			return errors.New("this is no JSON")
		}
		return nil
	case "go", "text", "mermaid":
		return nil
	case "":
		return errors.New("the block does not say what it is (text is what nobody checks)")
	}
	return fmt.Errorf("nothing proves a block of %s: name the test that runs it, or say why it is an illustration", b.Language)
}

// ranBy wants a test that knows the document: one whose folder has the document's
// name in a string.
func ranBy(s *Source, document, test string) error {
	folder, err := s.Test(test)
	if err != nil {
		return err
	}
	if !strings.Contains(s.text[folder], path.Base(document)) {
		return fmt.Errorf("%s knows nothing of %s", test, path.Base(document))
	}
	return nil
}

func parses(text string) error {
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("this is no YAML: %w", err)
		}
	}
}

var (
	runFlag   = regexp.MustCompile(`-run[= ]'?"?\^?(Test\w+)`)
	shComment = regexp.MustCompile(`(^|\s)#.*`)
	goFolder  = regexp.MustCompile(`(?:^| )\./([\w/-]*\w)`)
)

// checkable wants nothing but commands that can be held against the source.
func checkable(root string, s *Source, script string) error {
	folder := ""
	for line := range strings.SplitSeq(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		line = strings.TrimSpace(shComment.ReplaceAllString(line, ""))
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "cd" && len(words) == 2 {
			folder = words[1]
			continue
		}
		if err := checkableLine(root, folder, s, line, words); err != nil {
			return err
		}
	}
	return nil
}

// checkableLine takes one command, run in a folder.
func checkableLine(root, folder string, s *Source, line string, words []string) error {
	switch {
	case words[0] == "shadowless": // cmd/shadowless checks it
		return nil
	case words[0] == "make":
		for _, target := range words[1:] {
			if !strings.Contains(target, "=") && !s.targets[target] {
				return fmt.Errorf("make has no target %s", target)
			}
		}
		return nil
	case words[0] == "go" && len(words) > 2 && (words[1] == "run" || words[1] == "test" || words[1] == "build"):
		if found := goFolder.FindStringSubmatch(line); found != nil {
			if _, err := os.Stat(filepath.Join(root, folder, found[1])); err != nil {
				return fmt.Errorf("there is no package %s", found[1])
			}
		}
		if found := runFlag.FindStringSubmatch(line); found != nil {
			_, err := s.Test(found[1])
			return err
		}
		return nil
	}
	return fmt.Errorf("nothing proves %q: name the test that runs the block, or say why it is an illustration", line)
}
