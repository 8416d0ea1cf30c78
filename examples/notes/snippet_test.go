package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxParticipantLines is what taking part may cost a service, imports included,
// blank lines and comments not.
const maxParticipantLines = 30

// marked returns what stands between the marks of a file, without indentation of
// the marks' own depth.
func marked(t *testing.T, name string) (lines []string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	inside, indent := false, ""
	for line := range strings.SplitSeq(string(raw), "\n") {
		switch trimmed := strings.TrimLeft(line, "\t"); {
		case trimmed == "// participant:begin":
			require.False(t, inside, name)
			inside, indent = true, line[:len(line)-len(trimmed)]
		case trimmed == "// participant:end":
			require.True(t, inside, name)
			inside = false
		case inside:
			lines = append(lines, strings.TrimPrefix(line, indent))
		}
	}
	require.False(t, inside, name)
	require.NotEmpty(t, lines, name)
	return lines
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(raw)
}

func TestTakingPart_CostsAtMostThirtyLinesAndAManifest(t *testing.T) {
	t.Parallel()
	whole := strings.Split(read(t, "participant.go"), "\n")
	whole = append(append(whole, marked(t, "main.go")...), marked(t, "notes.go")...)
	count := 0
	for _, line := range whole {
		if text := strings.TrimSpace(line); text != "" && (!strings.HasPrefix(text, "//") || strings.HasPrefix(text, "//go:")) {
			count++
		}
	}
	require.LessOrEqual(t, count, maxParticipantLines)
}

func TestDocumentation_ShowsTheVeryCode(t *testing.T) {
	t.Parallel()
	doc := read(t, "../../docs/identity.md")
	require.Contains(t, doc, "## Becoming a participant")
	require.Contains(t, doc, "```yaml\n"+read(t, "manifest.yaml")+"```")
	require.Contains(t, doc, "```go\n"+read(t, "participant.go")+"```")
	for _, file := range []string{"main.go", "notes.go"} {
		require.Contains(t, doc, strings.Join(marked(t, file), "\n"), file)
	}
}
