package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/shadowless/shadowless/internal/measure"
)

// report prints one table. Every number is the median of the rounds; what is in
// brackets are their quartiles.
func report(w io.Writer, o options, results []*result) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ALGORITHM\tWHAT\tPER CPU-SECOND\tOF THE SELECT FLOOR\tP50, P99 AT HALF LOAD\tP99/P50")
	for _, algorithm := range o.algorithms {
		floor := pick(results, algorithm, floorSelect)
		for _, r := range results {
			if r.target.algorithm != algorithm {
				continue
			}
			share := make([]float64, len(r.perCPUSecond))
			for i := range share {
				share[i] = 100 * r.perCPUSecond[i] / floor.perCPUSecond[i]
			}
			fmt.Fprintf(table, "%s\t%s\t%.0f [%.0f–%.0f]\t%.0f %% [%.0f–%.0f]\t", algorithm, r.target.kind,
				measure.Median(r.perCPUSecond), measure.Quantile(r.perCPUSecond, 0.25), measure.Quantile(r.perCPUSecond, 0.75), measure.Median(share), measure.Quantile(share, 0.25), measure.Quantile(share, 0.75))
			if len(r.p50) > 0 {
				fmt.Fprintf(table, "%s, %s (at %.0f/s)\t%.1f", measure.Round(measure.Median(r.p50)), measure.Round(measure.Median(r.p99)), measure.Median(r.perSecond)/2,
					float64(measure.Median(r.p99))/float64(measure.Median(r.p50)))
			} else {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprintln(table)
		}
	}
	_ = table.Flush() // standard output
	fmt.Fprintf(w, "Medians and quartiles of %d rounds of %s each, in turn; %d connections; the load generator, Postgres and NATS share the machine.\n", o.rounds, o.lasting, o.connections)
}

func pick(results []*result, algorithm, kind string) *result {
	i := slices.IndexFunc(results, func(r *result) bool { return r.target.algorithm == algorithm && r.target.kind == kind })
	return results[i]
}

// memory exchanges many times with the first algorithm and tells what the service
// holds on the way.
func memory(ctx context.Context, w io.Writer, o options, results []*result) error {
	t := pick(results, o.algorithms[0], theService).target
	g := newGenerator(t, o.connections)
	defer g.close()
	const steps = 10
	for step := range steps + 1 {
		memory, err := t.process.Memory()
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "\rmemory: %d of %d exchanges", step*o.memory/steps, o.memory)
		if step == 0 || step == 1 || step == steps/2 || step == steps {
			fmt.Fprintf(w, "memory after %9d more exchanges: %5.1f MiB resident\n", step*o.memory/steps, float64(memory.Resident)/(1<<20))
		}
		if step == steps {
			break
		}
		if _, err := g.full(ctx, o.connections, func(sent int64) bool { return sent >= int64(o.memory/steps) }); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}
