package harness

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFurtherService_CountsWhatEachHas(t *testing.T) {
	t.Parallel()
	s, err := furtherService(t.Context(), nil)
	require.NoError(t, err)
	counts := map[string][2]float64{}
	for _, m := range s.Measures {
		counts[m.Name] = [2]float64{m.Bars[0].Values[0], m.Bars[1].Values[0]}
	}
	for _, name := range []string{"lines of orders that mention it", "migrations that come along", "lines of the code behind it, in each service"} {
		require.Positive(t, counts[name][0], name)
		require.Positive(t, counts[name][1], name)
	}
	beside := counts["lines of what runs once beside the services"]
	require.Zero(t, beside[0])
	require.Greater(t, beside[1], 1000.0)
}

func TestCode_IsNeitherEmptyNorAComment(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "\t", "// table", "\t// table", "# manifest", "  # manifest"} {
		require.False(t, code.MatchString(line), "%q", line)
	}
	for _, line := range []string{"}", "\ttable.Provision(ctx) // why", "  user_id: erase # law", "-- +goose Up"} {
		require.True(t, code.MatchString(line), "%q", line)
	}
}
