package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
)

// contender is one of the systems that are compared.
type contender struct {
	label     string
	archetype report.Archetype
	orders    string // names of its processes
	billing   string
	more      []string
	databases []string // keys of world.pools
	receivers []string // who gets the provider's webhooks
}

// contenders in the order of every table. The first shadow one is like the
// federated one in all but the archetype: a database for each service.
var contenders = []contender{
	{
		label: "shadow, a table in each service", archetype: report.Shadow, orders: shadowOrders, billing: shadowBilling,
		databases: []string{shadowOrders, shadowBilling}, receivers: []string{shadowOrders, shadowBilling},
	},
	{
		label: "federated IDs", archetype: report.Federated, orders: devstack.Orders, billing: devstack.Billing,
		more: []string{devstack.IdentityRelay}, databases: []string{devstack.Orders, devstack.Billing, devstack.IdentityRelay},
		receivers: []string{devstack.IdentityRelay},
	},
	{
		label: report.OneDatabase, archetype: report.Shadow, orders: oneOrders, billing: oneBilling,
		databases: []string{oneOrders}, receivers: []string{oneOrders},
	},
}

// bars for a measure, one for each contender.
func bars() []report.Bar {
	out := make([]report.Bar, len(contenders))
	for i, c := range contenders {
		out[i] = report.Bar{Label: c.label, Archetype: c.archetype}
	}
	return out
}

// inTurns runs do for each contender in each run; who begins changes. What one
// has left to do is done before the next one's turn.
func (w *world) inTurns(ctx context.Context, do func(run, i int, c contender) error) error {
	for run := range w.Runs {
		for turn := range contenders {
			i := (turn + run) % len(contenders)
			if _, err := w.settled(ctx); err != nil {
				return err
			}
			if err := do(run, i, contenders[i]); err != nil {
				return fmt.Errorf("%s, run %d: %w", contenders[i].label, run+1, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// cpu that a contender has had so far, with what both share: the provider,
// token-exchange and Postgres. The others are idle meanwhile.
func (w *world) cpu(c contender) (time.Duration, error) {
	sum, err := w.postgresCPU()
	if err != nil {
		return 0, err
	}
	for _, name := range append([]string{c.orders, c.billing, devstack.DevIDP, devstack.TokenExchange}, c.more...) {
		used, err := w.services[name].CPU()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// ticks of the kernel's clock a second (USER_HZ), the same on every Linux.
const ticks = 100

// postgresCPU is the server's with all its children, living and ended.
func (w *world) postgresCPU() (time.Duration, error) {
	raw, err := os.ReadFile(w.postmasterFile())
	if err != nil {
		return 0, fmt.Errorf("find the postmaster: %w", err)
	}
	postmaster, _, _ := strings.Cut(string(raw), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	// Fields after the command's name, see proc(5).
	const parent, user, system, childUser, childSystem = 1, 11, 12, 13, 14
	var sum int64
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		text := string(raw)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		pid := filepath.Base(filepath.Dir(path))
		wanted := []int{user, system}
		switch {
		case pid == postmaster:
			wanted = append(wanted, childUser, childSystem)
		case fields[parent] != postmaster:
			continue
		}
		for _, i := range wanted {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

func (w *world) postmasterFile() string {
	found, _ := filepath.Glob(filepath.Join(w.running.StateDir, "postgres", "postmaster.pid"))
	deeper, _ := filepath.Glob(filepath.Join(w.running.StateDir, "postgres", "*", "postmaster.pid"))
	return append(append(found, deeper...), "")[0]
}

// latency of one run, in milliseconds.
type latency struct{ p50, p99 float64 }

func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	return latency{ms(measure.At(took, 0.5)), ms(measure.At(took, 0.99))}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
