package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/docs"
)

var (
	// invocation is our command with what follows it, up to the end of the shell's
	// command.
	invocation = regexp.MustCompile(`(?m)(?:^|[;|&(!]|\b(?:until|if|then|do|while))[ \t]*(?:shadowless|go run \./cmd/shadowless)((?: +(?:"[^"]*"|\$\([^)]*\)|[^\s|;&)>"#\\]+))*)`)
	// placeholder stands for one argument in a sentence.
	placeholder = regexp.MustCompile(`<[^<>]*>`)
	word        = regexp.MustCompile(`"[^"]*"|\$\([^)]*\)|\S+`)
)

// commandFault says what is wrong with the words of a command line. In a sentence
// arguments may be missing, in a script not.
func commandFault(model *kong.Application, words []string, script bool) error {
	node, arguments := model.Node, 0
	for i := 0; i < len(words); i++ {
		text := words[i]
		if name, value, _ := strings.Cut(strings.TrimLeft(text, "-"), "="); strings.HasPrefix(text, "-") && text != "-" {
			if name == "help" {
				return nil
			}
			flag := findFlag(node, name)
			if flag == nil {
				return fmt.Errorf("%s has no flag %s", node.FullPath(), text)
			}
			if value == "" && !strings.Contains(text, "=") && !flag.IsBool() {
				i++ // its value
			}
			continue
		}
		if child := findChild(node, text); child != nil && arguments == 0 {
			node = child
			continue
		}
		if len(node.Children) > 0 && node.DefaultCmd == nil {
			return fmt.Errorf("%s has no command %s", node.FullPath(), text)
		}
		arguments++
	}
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	required, most := 0, len(node.Positional)
	for _, p := range node.Positional {
		if p.Required {
			required++
		}
		if p.IsCumulative() {
			most = len(words)
		}
	}
	switch {
	case arguments > most:
		return fmt.Errorf("%s takes %d arguments, not %d", node.FullPath(), most, arguments)
	case script && len(node.Children) > 0 && node.DefaultCmd == nil:
		return fmt.Errorf("%s is no whole command", node.FullPath())
	case script && arguments < required:
		return fmt.Errorf("%s wants %d arguments, not %d", node.FullPath(), required, arguments)
	}
	return nil
}

func findChild(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func findFlag(node *kong.Node, name string) *kong.Flag {
	if node.DefaultCmd != nil {
		if flag := findFlag(node.DefaultCmd, name); flag != nil {
			return flag
		}
	}
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			if flag.Name == name || flag.Short != 0 && string(flag.Short) == name {
				return flag
			}
		}
	}
	return nil
}

func commandLine(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("shadowless"))
	require.NoError(t, err)
	return parser.Model
}

// Every command line of this command in a document is one that it takes: those in
// scripts whole, those in sentences by their commands and flags.
func TestDocuments_CallCommandsThatExist(t *testing.T) {
	t.Parallel()
	model := commandLine(t)
	documents, err := docs.Read("../..")
	require.NoError(t, err)
	var faults []error
	checked := 0
	check := func(d docs.Document, line int, text string, script bool) {
		for _, found := range invocation.FindAllStringSubmatch(text, -1) {
			checked++
			if err := commandFault(model, word.FindAllString(found[1], -1), script); err != nil {
				faults = append(faults, fmt.Errorf("%s:%d: %w", d.Path, line, err))
			}
		}
	}
	for _, d := range documents {
		for _, b := range d.Blocks {
			if b.Language == "sh" {
				check(d, b.Line, strings.ReplaceAll(b.Text, "\\\n", " "), true)
			}
		}
		for _, c := range d.Codes {
			if strings.HasPrefix(c.Text, "shadowless ") || strings.HasPrefix(c.Text, "go run ./cmd/shadowless ") {
				check(d, c.Line, placeholder.ReplaceAllString(c.Text, "X"), false)
			}
		}
	}
	require.NoError(t, errors.Join(faults...))
	require.Greater(t, checked, 50)
}

func TestCommandFaults_AreFound(t *testing.T) {
	t.Parallel()
	model := commandLine(t)
	for line, says := range map[string]string{
		"erasures show ID --certificate":            "",
		"erasures --late":                           "",
		"erasures list --user USER":                 "",
		`keys rotate reports "$(x y)" --overlap 1h`: "",
		"events dead redrive 1 2 3":                 "",
		"--help":                                    "",
		"nothing":                                   "has no command nothing",
		"events nothing":                            "has no command nothing",
		"erasures show ID --nothing":                "has no flag --nothing",
		"erasures show":                             "wants 1 arguments, not 0",
		"erasures show A B":                         "takes 1 arguments, not 2",
		"events":                                    "is no whole command",
	} {
		err := commandFault(model, word.FindAllString(line, -1), true)
		if says == "" {
			require.NoError(t, err, line)
			continue
		}
		require.ErrorContains(t, err, says, line)
	}
	require.NoError(t, commandFault(model, []string{"erasures", "show"}, false), "in a sentence")
}
