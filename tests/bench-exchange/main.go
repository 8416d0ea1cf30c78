// Command bench-exchange measures token-exchange beside its floors, in one go
// and with one load generator: how many exchanges a second of CPU of the service's
// own process buys, how long they take at half load, and what memory does.
//
// A floor is the same http.Server with a handler that does what cannot be left
// out: prove the key, sign the token. One has its keys in memory, one asks Postgres
// with a single SELECT, and one does the latter inside the server that every
// service here runs in, with its log line and span.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/service"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// Modes in which this program starts itself: each measured thing is a process of
// its own.
const (
	serveMode = "serve"
	floorMode = "floor"
)

type options struct {
	algorithms  []string
	rounds      int
	lasting     time.Duration
	connections int
	memory      int
	profile     string
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case serveMode:
			os.Args = os.Args[:1]
			service.Main(tokenexchange.Name, tokenexchange.Prefix, measure.Profiled(tokenexchange.Run))
			return
		case floorMode:
			os.Args = os.Args[:1]
			service.Main("floor", floorPrefix, runFloor)
			return
		}
	}
	var o options
	algorithms := flag.String("algorithms", "ES256,EdDSA,RS256", "signing algorithms")
	flag.IntVar(&o.rounds, "rounds", 12, "how often everything is measured, in turn")
	flag.DurationVar(&o.lasting, "for", time.Second, "how long each measurement takes; latency takes three times that")
	flag.IntVar(&o.connections, "connections", 16, "concurrent connections")
	flag.IntVar(&o.memory, "memory", 100_000, "exchanges between the first and the last look at memory; 0: none")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the service for the first algorithm to this file")
	flag.Parse()
	o.algorithms = strings.Split(*algorithms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-exchange:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer func() { b.close() }()
	targets, err := b.targets(ctx, o)
	if err != nil {
		return err
	}
	var results []*result
	for _, t := range targets {
		results = append(results, &result{target: t})
	}
	// In turn and in short turns, so that what else the machine does falls on all
	// of them alike.
	for round := range o.rounds {
		for _, r := range results {
			fmt.Fprintf(os.Stderr, "\rround %d of %d: %-40s", round+1, o.rounds, r.target.name())
			if err := r.measure(ctx, o); err != nil {
				return err
			}
			if round%latencyEvery == 0 {
				if err := r.latency(ctx, o); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "\r%60s\r", "")
	report(os.Stdout, o, results)
	if o.memory > 0 {
		return memory(ctx, os.Stdout, o, results)
	}
	return nil
}
