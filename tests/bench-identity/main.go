// Command bench-identity measures the way of identity events through the system:
// from a webhook to four inboxes, from a revocation to the memory of every
// replica, from a deletion to its certificate, and a comparison of the identity
// provider's users with the services'. What the machine allows at best stands
// beside each number and comes from the same run.
//
// Everything that is measured is a process of its own on this machine: the
// services with the environment that `shadowless up` gives them, NATS, Postgres
// with its durability as installed, and this program, which makes the load and
// plays the identity provider's user list.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Modes in which this program starts itself.
const (
	stackMode   = "stack"
	serveMode   = "serve"
	replicaMode = "replica"
)

// parts of the report, in its order.
var parts = []string{"pipeline", "revocation", "erasure", "reconciliation"}

type options struct {
	parts       []string
	rounds      int
	lasting     time.Duration
	connections int
	pool        int

	replicas    int
	revocations float64
	live        int

	orders int
	users  int

	population int
	keep       bool
	profile    string
}

func main() {
	if len(os.Args) > 2 {
		if run, ok := modes[os.Args[1]]; ok {
			argument := os.Args[2]
			os.Args = os.Args[:1]
			if err := run(argument); err != nil {
				fmt.Fprintln(os.Stderr, "bench-identity:", err)
				os.Exit(1)
			}
			return
		}
	}
	var o options
	only := flag.String("only", strings.Join(parts, ","), "which parts to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the pipeline and revocation are measured, in turn with their floors")
	flag.DurationVar(&o.lasting, "for", 3*time.Second, "how long each of these measurements takes")
	flag.IntVar(&o.connections, "connections", 32, "concurrent requests at most")
	flag.IntVar(&o.pool, "pool", 16, "the relay's connections to Postgres at most")
	flag.IntVar(&o.replicas, "replicas", 4, "replicas whose memory is watched")
	flag.Float64Var(&o.revocations, "revocations", 1000, "revocations a second")
	flag.IntVar(&o.live, "live", 1_000_000, "live revocations that a fresh replica loads")
	flag.IntVar(&o.orders, "orders", 10_000, "orders of the one user who is erased")
	flag.IntVar(&o.users, "users", 1_000, "users who are deleted in bulk; 100000 takes about half an hour")
	flag.IntVar(&o.population, "population", 100_000, "users of the identity provider with whom the services' are compared; 1000000 takes some minutes")
	flag.BoolVar(&o.keep, "keep", false, "leave the folder with logs and data")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the relay to this file")
	flag.Parse()
	o.parts = strings.Split(*only, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-identity:", err)
		os.Exit(1)
	}
}

func (o options) has(part string) bool { return slices.Contains(o.parts, part) }

func run(ctx context.Context, o options) error {
	for _, part := range o.parts {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("there is no part %q; there are %s", part, strings.Join(parts, ", "))
		}
	}
	// Users of the pipeline must be on the list, or they would be missing.
	if o.population < gap {
		return fmt.Errorf("-population must be at least %d", gap)
	}
	begun := time.Now()
	s, err := openSystem(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	r := &report{w: os.Stdout}
	if err := r.head(ctx, s); err != nil {
		return err
	}
	c := &constants{}
	for _, p := range []struct {
		name string
		run  func(context.Context, *system, *report, *constants) error
	}{
		{"pipeline", pipeline}, {"revocation", revocations}, {"erasure", erasure}, {"reconciliation", reconciliation},
	} {
		if !o.has(p.name) {
			continue
		}
		if err := p.run(ctx, s, r, c); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	c.report(r)
	r.text("The whole run took %s.", time.Since(begun).Round(time.Second))
	return nil
}

// progress is one line on standard error.
func progress(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, values...))
}
