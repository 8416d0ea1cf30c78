package harness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/shadowless/shadowless/compare/report"
)

// Options of a comparison.
type Options struct {
	// Users of the provider, each with OrdersEach orders and invoices.
	Users, OrdersEach int
	// Runs of each measurement, of one archetype and the other in turns.
	Runs int
	// Lasting is how long one run of the calls takes.
	Lasting time.Duration
	// Samples of one run of what is done one at a time.
	Samples int
	// Newcomers whose first requests come at once.
	Newcomers int
	// Changes of one run of the webhooks.
	Changes int
	// Services of the curves.
	Services []int
	// Rows of the one user who is erased, for the curve.
	Rows []int
	// Quick says that the numbers are rough.
	Quick bool
	// Only these scenarios; empty is all of them.
	Only []string
	// Start makes the arguments with which this program runs one of its parts.
	Start func(part Part, argument string) []string
	// Progress is called before each step with the part that is done, 0 to 1.
	Progress func(done float64, what string)
	// SkipFsync makes the databases forgetful and fast; for tests.
	SkipFsync bool
	Log       *slog.Logger
}

// Full is what docs/archetypes.md quotes. The runs are a multiple of the three
// contenders, so that each begins as often as the others.
func Full(users int) Options {
	return Options{
		Users: users, OrdersEach: 2, Runs: 6, Lasting: 1200 * time.Millisecond, Samples: 32, Newcomers: 1000, Changes: 700,
		Services: []int{1, 2, 4, 8}, Rows: []int{10, 100, 1000, 10_000},
	}
}

// Quick shows the same within two minutes, roughly.
func Quick() Options {
	return Options{
		Users: 3_000, OrdersEach: 2, Runs: 3, Lasting: 150 * time.Millisecond, Samples: 6, Newcomers: 80, Changes: 100,
		Services: []int{1, 2, 4}, Rows: []int{10, 1000}, Quick: true,
	}
}

// scenario is one section of the report.
type scenario struct {
	id      string
	measure func(ctx context.Context, w *world) (report.Section, error)
}

// scenarios in the order of the report.
var scenarios = []scenario{
	{"calls", calls},
	{"names", names},
	{"newcomers", newcomers},
	{"rename", renames},
	{"changes", changes},
	{"deletion", deletions},
	{"growth", growth},
	{"zombies", zombies}, // restarts billing, whose job of statements then writes for a while
	{"webhooks", webhookFaults},
	{"rekey", rekeys},
	{"delegation", delegations},
	{"outage", outage},
	{"restore", restores},
	{"service", furtherService},
	{"storage", storage},
}

// Scenarios lists the names that Options.Only knows.
func Scenarios() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.id
	}
	return names
}

// Run measures and returns the report. A scenario that fails ends the run.
func Run(ctx context.Context, o Options) (r *report.Report, err error) {
	chosen, err := choose(o.Only)
	if err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(float64, string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	begun := time.Now()
	w, err := openWorld(ctx, o, len(chosen)+1)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r = &report.Report{
		Started: begun, Scale: report.Scale{Users: o.Users, Orders: o.Users * o.OrdersEach, Runs: o.Runs, Quick: o.Quick},
		Machine: machine(ctx),
	}
	if err := w.describe(ctx, &r.Machine); err != nil {
		return nil, err
	}
	for _, s := range chosen {
		w.next(s.id)
		at := time.Now()
		section, err := s.measure(ctx, w)
		if errors.Is(err, errNoSource) {
			continue // what cannot be counted is absent
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.id, err)
		}
		section.ID, section.Seconds = s.id, time.Since(at).Seconds()
		r.Sections = append(r.Sections, section)
	}
	r.Seconds = time.Since(begun).Seconds()
	o.Progress(1, "done")
	return r, nil
}

func choose(only []string) ([]scenario, error) {
	if len(only) == 0 {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range only {
		found := false
		for _, s := range scenarios {
			if s.id == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(Scenarios(), ", "))
		}
	}
	return chosen, nil
}
