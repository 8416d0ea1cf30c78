package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// BlockFaults finds blocks that nothing proves. Go blocks are SnippetFaults'.
func BlockFaults(s *Source, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		for _, b := range d.Blocks {
			if err := b.proof(s, d.Path); err != nil {
				faults = append(faults, d.fault(b.Line, "%s", err))
			}
		}
	}
	return faults
}

func (b Block) proof(s *Source, document string) error {
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
		return s.script(b.Text)
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

// ranBy wants a test that knows the document: one whose folder has, in strings,
// its path, or its folder and its name. Its name alone would do for every
// README.md.
func ranBy(s *Source, document, test string) error {
	folder, err := s.Test(test)
	if err != nil {
		return err
	}
	has := func(name string) bool {
		return strings.Contains(s.text[folder], `"`+name+`"`) || strings.Contains(s.text[folder], "../"+name+`"`)
	}
	in, name := path.Split(document)
	if !has(document) && (in == "" || !has(strings.TrimSuffix(in, "/")) || !has(name)) {
		return fmt.Errorf("%s knows nothing of %s", test, document)
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
