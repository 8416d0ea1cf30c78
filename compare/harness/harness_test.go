package harness

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/report"
)

// A process that a comparison starts is this very binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == partArgument {
		if err := Play(Part(os.Args[2]), os.Args[3]); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const partArgument = "compare-part"

func tiny() Options {
	return Options{
		Users: 600, OrdersEach: 1, Runs: 1, Lasting: 20 * time.Millisecond, Samples: 2, Newcomers: 10, Changes: 100,
		Services: []int{1, 2}, Rows: []int{10}, SkipFsync: true,
		Start: func(part Part, argument string) []string { return []string{partArgument, string(part), argument} },
	}
}

func TestRun_MeasuresEveryScenario(t *testing.T) {
	t.Parallel()
	o := tiny()
	last := -1.0
	o.Progress = func(done float64, what string) {
		t.Log(done, what)
		if done < last {
			t.Errorf("the progress went from %v back to %v", last, done)
		}
		last = done
	}
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.InDelta(t, 1, last, 0)
	var ids []string
	for _, s := range r.Sections {
		ids = append(ids, s.ID)
		require.NotEmpty(t, s.Question)
		for _, m := range s.Measures {
			for _, b := range m.Bars {
				require.NotEmpty(t, b.Values, "%s: %s: %s", s.ID, m.Name, b.Label)
			}
		}
		for _, c := range s.Curves {
			for _, l := range c.Series {
				require.NotEmpty(t, l.Points, "%s: %s", c.Title, l.Label)
			}
		}
	}
	require.Equal(t, Scenarios(), ids)
	require.NoError(t, r.Write(t.TempDir()))
	_ = report.Shadow
}

func TestRun_RefusesAScenarioThatIsNotThere(t *testing.T) {
	t.Parallel()
	o := tiny()
	o.Only = []string{"nothing"}
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "calls")
}
