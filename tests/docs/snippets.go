package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/internal/gobuild"
)

// SnippetFaults finds blocks of Go that are neither lines of the source nor
// compile. prelude is a file with the imports and variables that snippets may use.
func SnippetFaults(ctx context.Context, root string, s *Source, documents []Document, prelude string) ([]error, error) {
	checker, err := newChecker(ctx, root, prelude)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, d := range documents {
		for _, b := range d.Blocks {
			if b.Language != "go" || b.Mark != "" || s.quotes(b.Text) {
				continue
			}
			if err := checker.check(b.Text); err != nil {
				faults = append(faults, d.fault(b.Line, "the snippet does not compile: %s", err))
			}
		}
	}
	return faults, nil
}

// quotes says whether the lines stand in the source of one folder, whole and in
// this order, whatever their indentation and whatever is between them.
func (s *Source) quotes(snippet string) bool {
	wanted := lines(snippet)
	for _, have := range s.lines {
		found := 0
		for _, line := range have {
			if found < len(wanted) && line == wanted[found] {
				found++
			}
		}
		if found == len(wanted) {
			return true
		}
	}
	return false
}

// lines are those that say something, without their indentation.
func lines(text string) (list []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// checker type-checks with the compiler's export data.
type checker struct {
	prelude string
	imports types.Importer
	files   *token.FileSet
}

func newChecker(ctx context.Context, root, prelude string) (*checker, error) {
	c := &checker{prelude: prelude, files: token.NewFileSet()}
	parsed, err := parser.ParseFile(c.files, "prelude.go", prelude, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("read the prelude: %w", err)
	}
	args := slices.Concat([]string{"list"}, gobuild.Flags(), []string{"-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"})
	for _, i := range parsed.Imports {
		args = append(args, strings.Trim(i.Path.Value, `"`))
	}
	list := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the imports of our own file
	list.Dir = root
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[name] = file
	}
	c.imports = importer.ForCompiler(c.files, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("the prelude does not import " + path)
		}
		return os.Open(exports[path])
	})
	return c, nil
}

// elided matches what a snippet leaves out.
var elided = regexp.MustCompile(`\{ \.\.\. \}`)

func (c *checker) check(snippet string) error {
	var sources []string
	if strings.HasPrefix(snippet, "package ") || strings.Contains(snippet, "\npackage ") {
		sources = []string{snippet}
	} else {
		var body strings.Builder
		for line := range strings.Lines(elided.ReplaceAllString(snippet, "{ panic(0) }")) {
			if strings.TrimSpace(line) != "..." {
				body.WriteString(line)
			}
		}
		head, _, _ := strings.Cut(c.prelude, "\nvar (")
		sources = []string{c.prelude, head + "\nfunc snippet() error {\n" + body.String() + "\nreturn nil\n}\n"}
		if strings.HasPrefix(snippet, "func ") || strings.Contains(snippet, "\nfunc ") || strings.HasPrefix(snippet, "type ") {
			sources[1] = head + "\n" + body.String()
		}
	}
	var files []*ast.File
	for i, source := range sources {
		file, err := parser.ParseFile(c.files, fmt.Sprintf("snippet%d.go", i), source, 0)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	var first error
	config := types.Config{Importer: c.imports, Error: func(err error) {
		var fault types.Error
		if errors.As(err, &fault) && fault.Soft {
			return // an unused variable or import
		}
		if first == nil {
			first = err
		}
	}}
	_, _ = config.Check("snippet", c.files, files, nil) // all errors went to config.Error
	return first
}
