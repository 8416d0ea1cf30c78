package conformance_test

import (
	"flag"
	"maps"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/tests/conformance"
)

var write = flag.Bool("write", false, "write docs/conformance.md instead of comparing it")

const document = "../../docs/conformance.md"

func TestMain(m *testing.M) { identitytest.Main(m) }

// check is a statement's test. The deployment is shared: what would disturb
// others needs one of its own.
type check func(t *testing.T, d *deployment)

// checks by statement.
func checks() map[string]check {
	all := map[string]check{}
	for _, section := range []map[string]check{
		tokenEndpoint, clientAuthentication, clientCredentials, tokenExchange, subjectTokens, chains,
		accessTokens, introspection, revocation, metadata, signingKeys, apiKeys, broker,
	} {
		maps.Copy(all, section)
	}
	return all
}

func TestConformance(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	all := checks()
	var mu sync.Mutex
	results := map[string]conformance.Result{}
	t.Cleanup(func() { compare(t, results, len(all)) })
	for _, section := range conformance.Sections() {
		for _, s := range section.Statements {
			c, ok := all[s.ID]
			if !ok {
				continue
			}
			t.Run(s.ID, func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					mu.Lock()
					defer mu.Unlock()
					results[s.ID] = conformance.Passed
					if t.Failed() {
						results[s.ID] = conformance.Failed
					}
				})
				c(t, d)
			})
		}
	}
}

// compare holds the document to what a whole run found.
func compare(t *testing.T, results map[string]conformance.Result, whole int) {
	if len(results) < whole {
		return // -run chose some
	}
	content := conformance.Document(results)
	if *write {
		require.NoError(t, os.WriteFile(document, content, 0o644)) //nolint:gosec // documentation is public
		return
	}
	written, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, string(content), string(written), "docs/conformance.md is stale: make conformance")
}

func TestEveryStatementHasItsTest(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, section := range conformance.Sections() {
		for _, s := range section.Statements {
			require.False(t, known[s.ID], s.ID)
			known[s.ID] = true
		}
	}
	require.Len(t, known, 88)
	all := checks()
	for id := range known {
		require.Contains(t, all, id)
	}
	require.Len(t, all, len(known))
}
