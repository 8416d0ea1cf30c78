package erasures

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestOwnSteps_AreTheManifest(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../manifest.yaml")
	require.NoError(t, err)
	manifest, err := participant.ParseManifest(raw)
	require.NoError(t, err)
	type entry struct {
		table, column string
		disposition   participant.Disposition
	}
	var declared, done []entry
	for _, table := range manifest.Tables {
		for _, c := range table.Columns {
			declared = append(declared, entry{table.Name, c.Name, c.Disposition})
		}
	}
	for _, s := range ownSteps {
		done = append(done, entry{s.table, s.column, s.disposition})
	}
	require.Equal(t, declared, done)
}
