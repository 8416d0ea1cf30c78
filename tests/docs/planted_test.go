package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/docs"
)

const good = "# Title\n\n## A `heading`, twice\n\n## A `heading`, twice\n"

// plant is a tree with one document, a test and a Makefile.
func plant(t *testing.T, text string) (string, *docs.Source, []docs.Document) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"docs/a.md": good + text, "Makefile": "test:\n\ttrue\n",
		"pkg/a/a_test.go": "package a\n\nfunc TestA(t *testing.T) { t.Run(\"with words\", nil); read(\"a.md\", \"shadowless.b\") }\n",
		"pkg/a/a.go":      "package a\n\nconst metric = \"shadowless.a\"\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	source, err := docs.ReadSource(dir)
	require.NoError(t, err)
	documents, err := docs.Read(dir)
	require.NoError(t, err)
	return dir, source, documents
}

// Each rule finds the fault that is planted for it, and lets through what is right.
func TestFaults_AreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"a good link":               {"[x](../pkg/a) [y](#a-heading-twice-1) [z](a.md#title) [w](https://example.com/no)", ""},
		"a link to no file":         {"[x](b.md)", "b.md leads nowhere"},
		"a link out of the tree":    {"[x](../../etc)", "leads nowhere"},
		"a link to no heading":      {"[x](a.md#nothing)", "has no heading #nothing"},
		"a heading of a folder":     {"[x](../pkg/a#x)", "has no heading #x"},
		"a good file":               {"`pkg/a/a_test.go` `pkg/*/a_test.go` `services/…`", ""},
		"no such file":              {"`pkg/b/b.go`", "there is no pkg/b/b.go"},
		"a good test":               {"`TestA` `pkg/a.TestA/with_words`", ""},
		"no such test":              {"`TestB`", "there is no test TestB"},
		"no such subtest":           {"`TestA/without`", "there is no test TestA/without"},
		"a test that is elsewhere":  {"`pkg/b.TestA`", "there is no test pkg/b.TestA"},
		"a good metric":             {"`shadowless.a`", ""},
		"no such metric":            {"`shadowless.b`", "no metric shadowless.b"},
		"no such target":            {"`make nothing`", "no target nothing"},
		"no such line of the log":   {"| log line | then |\n|---|---|\n| `never` | x |", `nothing logs "never"`},
		"a block of nothing":        {"```\nx\n```", "does not say what it is"},
		"a command nobody runs":     {"```sh\ncurl x\n```", `nothing proves "curl x"`},
		"commands to check":         {"```sh\n# words\nmake test A=b   # more\nshadowless up\ngo run ./pkg/a -x \\\n  -y\n```", ""},
		"a package that is not":     {"```sh\ngo run ./pkg/b\n```", "no package pkg/b"},
		"a test of a command":       {"```sh\ngo test ./pkg/a -run TestB\n```", "no test TestB"},
		"an illustration":           {"<!-- illustration: a picture -->\n```sh\ncurl x\n```", ""},
		"one without a reason":      {"<!-- illustration: -->\n```sh\ncurl x\n```", "has no reason"},
		"run by a test":             {"<!-- run by pkg/a.TestA -->\n```sh\ncurl x\n```", ""},
		"run by none":               {"<!-- run by TestB -->\n```sh\ncurl x\n```", "there is no test TestB"},
		"a mark that is not above":  {"<!-- run by TestA -->\n\n```sh\ncurl x\n```", "nothing proves"},
		"YAML":                      {"```yaml\na: [b]\n---\nc: d\n```", ""},
		"no YAML":                   {"```yaml\na: [b\n```", "no YAML"},
		"JSON":                      {"```json\n{\"a\": 1}\n```", ""},
		"no JSON":                   {"```json\n{a: 1}\n```", "no JSON"},
		"a language nobody checks":  {"```sql\nSELECT 1\n```", "nothing proves a block of sql"},
		"an indented block is read": {"- a list\n\n  ```json\n  {]\n  ```", "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, source, documents := plant(t, c.text)
			faults := docs.LinkFaults(dir, documents)
			faults = append(faults, docs.FileFaults(dir, documents)...)
			faults = append(faults, docs.NameFaults(source, documents)...)
			faults = append(faults, docs.LogFaults(source, documents)...)
			faults = append(faults, docs.BlockFaults(dir, source, documents)...)
			if c.says == "" {
				none(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.ErrorContains(t, faults[0], c.says)
		})
	}
}

func TestRead_RefusesABlockWithoutAnEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.md"), []byte("x\n```sh\ny\n"), 0o600))
	_, err := docs.Read(dir)
	require.ErrorContains(t, err, "a.md:2: the block does not end")
}

func TestSnippetFaults_AreFound(t *testing.T) {
	t.Parallel()
	_, source, documents := plant(t, "```go\nv, err := authn.New(ctx, 1)\n```\n```go\nif x {\n```\n```go\nunused := time.Now()\n...\nfunc() { ... }()\n```\n")
	faults, err := docs.SnippetFaults(t.Context(), root, source, documents, prelude(t))
	require.NoError(t, err)
	require.Len(t, faults, 2)
	require.ErrorContains(t, faults[0], "not enough arguments")
}

func TestMapFaults_AreFound(t *testing.T) {
	t.Parallel()
	_, _, documents := plant(t, "")
	faults := docs.MapFaults(documents, "docs/README.md")
	require.Len(t, faults, 1)
	require.ErrorContains(t, faults[0], "no way leads from docs/README.md to docs/a.md")
}

func TestThreatFaults_AreFound(t *testing.T) {
	t.Parallel()
	rows := "| S | x | y | `TestA` |\n| T | x | y | `TestA` |\n| R | x | y | `TestA` |\n| I | x | y | `TestA` |\n| D | x | y | `TestA` |\n"
	for name, c := range map[string]struct{ text, says string }{
		"complete":          {"Edges: a → b.\n" + rows + "| E | x | y | `TestA` |\n", ""},
		"a letter":          {"Edges: a → b.\n" + rows, "says nothing about E"},
		"a test":            {"Edges: a → b.\n" + rows + "| E | x | y | `TestB` |\n", "no test TestB"},
		"no test":           {"Edges: a → b.\n" + rows + "| E | x | y | trust |\n", "no test is named"},
		"no mitigation":     {"Edges: a → b.\n" + rows + "| E | x | `TestA` |\n", "the row has 3 cells"},
		"an edge":           {"", "nothing about a → b"},
		"an edge too many":  {"Edges: a → b, b → a.\n" + rows + "| E | x | y | `TestA` |\n", "b → a is here twice or not in the drawing"},
		"an edge, repeated": {"Edges: a → b, a → b.\n" + rows + "| E | x | y | `TestA` |\n", "a → b is here twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, source, documents := plant(t, c.text)
			faults := docs.ThreatFaults(source, documents[0], []string{"a → b"})
			if c.says == "" {
				none(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.ErrorContains(t, faults[0], c.says)
		})
	}
}
