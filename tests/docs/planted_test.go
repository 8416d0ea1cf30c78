package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/docs"
)

const good = "# Title\n\n## A `heading`, twice\n\n## A `heading`, twice\n"

// plant is a tree with a document, the variables, two services, some tests and a
// Makefile.
func plant(t *testing.T, text string) (string, *docs.Source, []docs.Document) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"docs/a.md": good + text, "Makefile": "test:\n\ttrue\n",
		"docs/configuration.md": "| `STEM_CELLS` | | x |\n",
		"pkg/a/a_test.go":       "package a\n\nfunc TestA(t *testing.T) { t.Run(\"with words\", nil); read(\"../../docs/a.md\", \"shadowless.b\") }\n",
		"pkg/a/a.go":            "package a\n\nconst metric = \"shadowless.a\"\n\nfunc f() { undefined() }\n",
		"cmd/a/main.go":         "package main\n",
		"pkg/c/c_test.go":       "package c\n\nfunc TestC(t *testing.T) { read(\"docs\", \"a.md\") }\n\nfunc BenchmarkC(b *testing.B) {}\n",
		"pkg/d/d_test.go":       "package d\n\nfunc TestD(t *testing.T) { read(\"../other/a.md\") }\n",
		"services/stem/run.go":  "package stem\n\nvar check = flag(\"check-config\", \"SHADOWLESS_A\")\n",
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
		"commands to check":         {"```sh\n# words\nmake test A=b   # more\ngo run ./cmd/a -x \\\n  -y\ngo run ./cmd/shadowless compare --users 1\n```", ""},
		"our own command":           {"```sh\nshadowless up\n```", `nothing proves "shadowless up"`},
		"our own, not installed":    {"```sh\ngo run ./cmd/shadowless up\n```", "nothing proves"},
		"behind a pipe":             {"```sh\ngo run ./cmd/a | curl y\n```", "what a shell makes of it"},
		"a second command":          {"```sh\nmake test; curl y\n```", "what a shell makes of it"},
		"a variable of the shell":   {"```sh\ngo run ./cmd/a \"$X\"\n```", "what a shell makes of it"},
		"quoted words":              {"```sh\ngo run ./cmd/a 'x | y'\n```", ""},
		"a package that is not":     {"```sh\ngo run ./pkg/b\n```", "no package ./pkg/b"},
		"what is no program":        {"```sh\ngo run ./pkg/a\n```", "./pkg/a is no program"},
		"a test of a command":       {"```sh\ngo test ./pkg/a -run TestB\n```", "no test is called TestB"},
		"tests in sentences":        {"`go test ./pkg/a ./pkg/c -run 'Test[AC]/x'` `go test ./... -run TestD` `go test ./pkg/c -run '^$' -bench C`", ""},
		"one package without":       {"`go test ./pkg/a ./pkg/c -run TestA`", "go test ./pkg/c -run: no test is called TestA"},
		"a benchmark that is not":   {"`go test ./pkg/a -run xxx -bench C`", "no test is called C"},
		"a package in a sentence":   {"`go test ./pkg/b`", "no package ./pkg/b"},
		"a service's flag":          {"`stem -check-config`", ""},
		"no flag of a service":      {"`stem -nothing`", "stem has no flag -nothing"},
		"variables that are read":   {"`STEM_CELLS` `SHADOWLESS_A` `OTHER_THING` `STEM`", ""},
		"a service's, unknown":      {"`STEM_SELLS=1`", "STEM_SELLS is not in docs/configuration.md"},
		"a service's, in a block":   {"```yaml\nSTEM_SELLS: x\n```", "STEM_SELLS is not in docs/configuration.md"},
		"our own, unknown":          {"`SHADOWLESS_B`", "nothing reads SHADOWLESS_B"},
		"an illustration":           {"<!-- illustration: a picture -->\n```sh\ncurl x\n```", ""},
		"one without a reason":      {"<!-- illustration: -->\n```sh\ncurl x\n```", "has no reason"},
		"run by a test":             {"<!-- run by pkg/a.TestA -->\n```sh\ncurl x\n```", ""},
		"run by one that joins":     {"<!-- run by TestC -->\n```sh\ncurl x\n```", ""},
		"run by another's":          {"<!-- run by TestD -->\n```sh\ncurl x\n```", "TestD knows nothing of docs/a.md"},
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
			faults = append(faults, docs.VariableFaults(source, documents)...)
			faults = append(faults, docs.CommandFaults(source, documents)...)
			faults = append(faults, docs.BlockFaults(source, documents)...)
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

// A snippet that has the source's lines in another order is no quotation.
func TestSnippetFaults_TheOrderCounts(t *testing.T) {
	t.Parallel()
	_, source, documents := plant(t, "```go\nconst metric = \"shadowless.a\"\nfunc f() { undefined() }\n```\n```go\nfunc f() { undefined() }\nconst metric = \"shadowless.a\"\n```\n")
	faults, err := docs.SnippetFaults(t.Context(), root, source, documents, prelude(t))
	require.NoError(t, err)
	require.Len(t, faults, 1)
	require.ErrorContains(t, faults[0], "docs/a.md:10: ")
}

func TestMapFaults_AreFound(t *testing.T) {
	t.Parallel()
	_, _, documents := plant(t, "")
	faults := docs.MapFaults(documents, "docs/README.md")
	require.Len(t, faults, 2)
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
