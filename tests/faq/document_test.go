package faq

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/docs"
)

var (
	link     = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	sentence = regexp.MustCompile(`[.?!](\s|$)`)
)

// An answer has a few sentences, and what it points to is there.
func TestAnswers_AreShortAndPointToWhatIsThere(t *testing.T) {
	t.Parallel()
	all, err := Sections()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, s := range all {
		require.NotEmpty(t, s.Questions, s.Title)
		for _, q := range s.Questions {
			require.False(t, seen[docs.Anchor(q.Text)], "%s is asked twice", q.Text)
			seen[docs.Anchor(q.Text)] = true
			n := len(sentence.FindAllString(q.Answer, -1))
			require.True(t, n >= 4 && n <= 10, "%s has %d sentences", q.Test, n)
			links := link.FindAllStringSubmatch(q.Answer, -1)
			require.NotEmpty(t, links, "%s points to nothing", q.Test)
			for _, l := range links {
				_, err := os.Stat(filepath.Join("..", "..", "docs", l[1]))
				require.NoError(t, err, q.Test)
			}
		}
	}
}

// A file of questions that no section names would be missing from the document.
func TestSections_HaveEveryQuestion(t *testing.T) {
	t.Parallel()
	document, err := Document()
	require.NoError(t, err)
	question := regexp.MustCompile(`(?m)^// (Test\w+): `)
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range question.FindAllStringSubmatch(string(source), -1) {
			require.Contains(t, string(document), "-run '^"+found[1]+"$'", file)
		}
	}
}

func TestRead_RefusesATestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, comment := range map[string]string{
		"no comment":  "",
		"no question": "// TestX: this.\n//\n// It is.\n",
		"no answer":   "// TestX: why?\n",
		"other name":  "// TestY: why?\n//\n// Because.\n",
	} {
		_, err := read("x_test.go", []byte("package faq\n\n"+comment+"func TestX() {}\n"))
		require.ErrorIs(t, err, ErrNoAnswer, name)
	}
	questions, err := read("x_test.go", []byte("package faq\n\n// TestX: why is\n// that?\n//\n// Because.\nfunc TestX() {}\n\nfunc other() { system(t) }\n"))
	require.NoError(t, err)
	require.Equal(t, []Question{{"TestX", "x_test.go", "why is that?", "Because.", false}}, questions)
}

// The page says of each answer whether its test runs on the whole system.
func TestDocument_SaysWhatATestRunsOn(t *testing.T) {
	t.Parallel()
	for body, whole := range map[string]bool{
		"w := system(t)":                           true,
		"t.Run(``, func() { use(alone(t)) })":      true,
		"w := other.system(t); system := 1; _ = w": false,
	} {
		questions, err := read("x_test.go", []byte("package faq\n\n// TestX: why?\n//\n// Because.\nfunc TestX() { "+body+" }\n"))
		require.NoError(t, err)
		require.Equal(t, whole, questions[0].Whole, body)
	}
	document, err := Document()
	require.NoError(t, err)
	require.Contains(t, string(document), "[TestEncodedNotEncrypted](../tests/faq/token_test.go) on the whole system: `go test ./tests/faq -run '^TestEncodedNotEncrypted$'`")
	require.Contains(t, string(document), "[TestTwoIssuers](../tests/faq/token_test.go) on its own, without the whole system: `")
	require.Regexp(t, `\b\d+ of the \d+ call the whole system`, string(document))
}
