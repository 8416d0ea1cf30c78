package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Document is one Markdown file.
type Document struct {
	Path    string // from the root, with slashes
	Blocks  []Block
	Anchors map[string]bool
	Links   []Text
	Codes   []Text // `inline code`
	Lines   []Text // all outside of blocks
}

// Text is a piece of a document with its line.
type Text struct {
	Line int
	Text string
}

// Block is what stands between two fences.
type Block struct {
	Line     int
	Language string
	Mark     string // the comment above the block, without its brackets
	Text     string
}

// Read returns the documents of the tree below root, those of testdata excluded.
func Read(root string) ([]Document, error) {
	var list []Document
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"node_modules", "bin", "secrets"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		raw, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // a file of the tree that is being read
		if err != nil {
			return err
		}
		document, err := parse(name, string(raw))
		list = append(list, document)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the documents: %w", err)
	}
	return list, nil
}

var (
	heading = regexp.MustCompile(`^#{1,6} +(.+?) *#*$`)
	link    = regexp.MustCompile(`\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)`)
	code    = regexp.MustCompile("`([^`]+)`")
	comment = regexp.MustCompile(`^<!-- *(.*?) *-->$`)
)

func parse(name, text string) (Document, error) {
	d := Document{Path: name, Anchors: map[string]bool{}}
	var block *Block
	mark, indent := "", ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		fence, language, isFence := strings.Cut(trimmed, "```")
		isFence = isFence && fence == "" && !strings.Contains(language, "`")
		switch {
		case block != nil && trimmed == "```":
			d.Blocks = append(d.Blocks, *block)
			block = nil
		case block != nil:
			block.Text += strings.TrimPrefix(line, indent) + "\n"
		case isFence:
			block = &Block{Line: i + 1, Language: language, Mark: mark}
			indent, _, _ = strings.Cut(line, "```")
			mark = ""
		default:
			d.line(i+1, line)
			mark = ""
			if found := comment.FindStringSubmatch(trimmed); found != nil {
				mark = found[1]
			}
		}
	}
	if block != nil {
		return d, fmt.Errorf("%s:%d: the block does not end", name, block.Line)
	}
	return d, nil
}

// line takes one outside of the blocks.
func (d *Document) line(number int, line string) {
	d.Lines = append(d.Lines, Text{number, line})
	if found := heading.FindStringSubmatch(line); found != nil {
		anchor := Anchor(found[1])
		for n := 1; d.Anchors[anchor]; n++ {
			anchor = fmt.Sprintf("%s-%d", Anchor(found[1]), n)
		}
		d.Anchors[anchor] = true
	}
	for _, found := range code.FindAllStringSubmatch(line, -1) {
		d.Codes = append(d.Codes, Text{number, found[1]})
	}
	for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(line, "code"), -1) {
		d.Links = append(d.Links, Text{number, found[1]})
	}
}

// Anchor is what forges make of a heading: lower case, without punctuation, with
// dashes for spaces.
func Anchor(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func (d *Document) fault(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", d.Path, line, fmt.Sprintf(format, args...))
}
