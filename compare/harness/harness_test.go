package harness

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
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
		Users: 600, OrdersEach: 1, Runs: 1, Lasting: 20 * time.Millisecond, Samples: 2, Newcomers: 10, Changes: 60,
		Services: []int{1, 2}, Rows: []int{10}, SkipFsync: true,
		Start: func(part Part, argument string) []string { return []string{partArgument, string(part), argument} },
	}
}

// Every scenario is measured under -tags long; here is what needs each part of
// the harness once.
func TestRun_MeasuresBothArchetypes(t *testing.T) {
	t.Parallel()
	o := tiny()
	o.Quick = true // nothing waits for the directory
	o.Only = []string{"calls", "names", "rename", "deletion", "webhooks", "rekey", "service"}
	r := measured(t, o)
	for name, want := range map[string]struct{ shadow, federated float64 }{
		"deletion: rows that bear the deleted users' IDs":                                                {0, 2}, // invoices, by law
		"deletion: of these rows, without a stated reason":                                               {0, 0},
		"webhooks: after the repair: orders under a wrong name":                                          {0, anything},
		"webhooks: after the repair: orders that show a deleted user's name":                             {0, 0},
		"webhooks: after the repair: zombies: deleted users who have rows":                               {0, 0},
		"webhooks: after the repair: zombies: deleted users whose token is answered":                     {0, 0},
		"webhooks: after the repair: orphans: rows that refer to a user whom the provider does not know": {0, 0},
		"rekey: reads that were answered to tokens of the old IDs, of 10":                                {anything, 0},
		"rekey: orders that were taken from tokens of the old IDs, of 10":                                {anything, 0},
		"rekey: rows that bear the old IDs again":                                                        {anything, 0},
	} {
		section, measure, _ := strings.Cut(name, ": ")
		bars := barsOf(t, r, section, measure)
		for _, b := range bars {
			value := map[report.Archetype]float64{report.Shadow: want.shadow, report.Federated: want.federated}[b.Archetype]
			if value != anything {
				require.InDelta(t, value, b.Values[0], 0, "%s: %s", name, b.Label)
			}
		}
	}
}

const anything = -1

func barsOf(t *testing.T, r *report.Report, section, measure string) []report.Bar {
	t.Helper()
	for _, s := range r.Sections {
		for _, m := range s.Measures {
			if s.ID == section && m.Name == measure {
				return m.Bars
			}
		}
	}
	require.Failf(t, "not measured", "%s: %s", section, measure)
	return nil
}

func TestLostWebhooks_ComputesFromTheDefaults(t *testing.T) {
	t.Parallel()
	lost, err := lostWebhooks()
	require.NoError(t, err)
	require.Equal(t, []string{"reconciled every 1 h", "reconciled every 24 h"}, lost.Head[2:4])
	var lasting [][]string
	for _, row := range lost.Rows {
		lasting = append(lasting, row[2:4])
	}
	require.Equal(t, [][]string{
		{"1 h", "24 h"}, {"1 min", "1 min"}, {"1 h", "24 h"}, {"26 h", "72 h"}, {"1 h", "24 h"}, {"50 h", "96 h"},
	}, lasting)
	_, err = preset(struct{}{}, "ReconcileInterval")
	require.ErrorContains(t, err, "ReconcileInterval")
	_, err = preset(struct{ Grace time.Duration }{}, "Grace")
	require.ErrorContains(t, err, "Grace")
}

// measured runs a comparison and checks that nothing of it is missing.
func measured(t *testing.T, o Options) *report.Report {
	t.Helper()
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
	want := o.Only
	if len(want) == 0 {
		want = Scenarios()
	}
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
	require.Equal(t, want, ids)
	require.NoError(t, r.Write(t.TempDir()))
	return r
}

func TestRun_RefusesAScenarioThatIsNotThere(t *testing.T) {
	t.Parallel()
	o := tiny()
	o.Only = []string{"nothing"}
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "calls")
}

func TestFaulty_LosesRepeatsAndDelays(t *testing.T) {
	t.Parallel()
	all := make([]delivery, 10_000)
	for i := range all {
		all[i].id = strconv.Itoa(i)
	}
	f := newFaults()
	draw := func(f *faults) []delivery {
		var sent []delivery
		for half := range slices.Chunk(all, len(all)/2) {
			sent = append(sent, f.draw(half)...)
		}
		return append(sent, f.late...)
	}
	sent := draw(f)
	require.Len(t, sent, len(all)-f.lost+f.repeated)
	for _, n := range []int{f.lost, f.repeated, len(f.late)} {
		require.InDelta(t, 100, n, 50)
	}
	require.Equal(t, sent, draw(newFaults()), "the same in every run")
	count := map[string]int{}
	for _, d := range sent {
		count[d.id]++
	}
	require.Len(t, count, len(all)-f.lost)
}

func TestDelay_PassesOnAndWaits(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	d, err := newDelay(server.Listener.Addr().String())
	require.NoError(t, err)
	defer d.close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() time.Duration {
		begun := time.Now()
		resp, err := client.Get(d.url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusTeapot, resp.StatusCode)
		return time.Since(begun)
	}
	ask()
	d.set(30 * time.Millisecond)
	require.GreaterOrEqual(t, ask(), 30*time.Millisecond)
}

func TestPopulation_ColdPagesShareNoUser(t *testing.T) {
	t.Parallel()
	w := &world{Options: tiny()}
	p := w.population()
	next := w.Users
	for _, g := range p.groups {
		require.Equal(t, next, g.first)
		next += g.users
	}
	require.Equal(t, p.users, next)
	first := p.takeCold(5)
	require.NotEqual(t, first, p.takeCold(5))
}
