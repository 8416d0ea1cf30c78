package docs_test

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/docs"
)

const root = "../.."

var tree = sync.OnceValues(func() (*docs.Source, error) { return docs.ReadSource(root) })

var written = sync.OnceValues(func() ([]docs.Document, error) { return docs.Read(root) })

func read(t *testing.T) (*docs.Source, []docs.Document) {
	t.Helper()
	source, err := tree()
	require.NoError(t, err)
	documents, err := written()
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	return source, documents
}

func document(t *testing.T, documents []docs.Document, name string) docs.Document {
	t.Helper()
	at := slices.IndexFunc(documents, func(d docs.Document) bool { return d.Path == name })
	require.GreaterOrEqual(t, at, 0, name)
	return documents[at]
}

func none(t *testing.T, faults []error) {
	t.Helper()
	require.NoError(t, errors.Join(faults...))
}

func TestLinks_LeadSomewhere(t *testing.T) {
	t.Parallel()
	_, documents := read(t)
	none(t, docs.LinkFaults(root, documents))
	none(t, docs.FileFaults(root, documents))
}

// Every test, metric, log line, make target and environment variable that a
// document names exists.
func TestNames_Exist(t *testing.T) {
	t.Parallel()
	source, documents := read(t)
	none(t, docs.NameFaults(source, documents))
	none(t, docs.LogFaults(source, documents))
	none(t, docs.VariableFaults(source, documents))
}

// Commands in sentences name packages, tests and flags that exist.
func TestCommands_DoSomething(t *testing.T) {
	t.Parallel()
	source, documents := read(t)
	none(t, docs.CommandFaults(source, documents))
}

func TestBlocks_AreProven(t *testing.T) {
	t.Parallel()
	source, documents := read(t)
	none(t, docs.BlockFaults(source, documents))
}

func prelude(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/prelude.go")
	require.NoError(t, err)
	return string(raw)
}

func TestSnippets_AreOfTheSourceOrCompile(t *testing.T) {
	t.Parallel()
	source, documents := read(t)
	faults, err := docs.SnippetFaults(t.Context(), root, source, documents, prelude(t))
	require.NoError(t, err)
	none(t, faults)
}

// Every document can be found from the map.
func TestMap_LeadsToEveryDocument(t *testing.T) {
	t.Parallel()
	_, documents := read(t)
	none(t, docs.MapFaults(documents, "docs/README.md"))
}

func TestThreatModel_CoversEveryEdgeOfTheDrawing(t *testing.T) {
	t.Parallel()
	source, documents := read(t)
	edges := docs.Edges(document(t, documents, "docs/network.md"))
	require.Greater(t, len(edges), 30)
	none(t, docs.ThreatFaults(source, document(t, documents, "docs/threat-model.md"), edges))
}
