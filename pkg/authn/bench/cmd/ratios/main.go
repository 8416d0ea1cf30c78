// Command ratios measures authn and its peers in turns, in one run, and prints
// one table.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/pkg/authn/bench"
)

// tokensPerRound are verified in turn; more than a cold contender remembers.
const tokensPerRound = 128

func main() {
	rounds := flag.Int("rounds", 15, "rounds that count")
	slice := flag.Duration("slice", 100*time.Millisecond, "CPU time for each contender in each round")
	algs := flag.String("algs", strings.Join(bench.Algorithms(), ","), "algorithms, separated by commas")
	only := flag.String("only", "", "measure only rows whose name has this in it, and the first")
	flag.Parse()
	s := settings{algs: strings.Split(*algs, ","), only: *only, rounds: *rounds, slice: *slice}
	if err := s.run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

type settings struct {
	algs   []string
	only   string
	rounds int
	slice  time.Duration
}

func (s settings) run(ctx context.Context, w io.Writer) error {
	var names []string
	columns := make([][]bench.Result, len(s.algs))
	for n, alg := range s.algs {
		fmt.Fprintf(os.Stderr, "%s: signing tokens, then %d rounds\n", alg, s.rounds)
		var err error
		if names, columns[n], err = s.measure(ctx, alg); err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
	}
	return s.table(w, names, columns)
}

func (s settings) measure(ctx context.Context, alg string) ([]string, []bench.Result, error) {
	issuer, err := bench.NewIssuer(alg)
	if err != nil {
		return nil, nil, err
	}
	defer issuer.Close()
	tokens, err := issuer.Tokens(tokensPerRound)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	var ops []bench.Op
	for _, c := range bench.Contenders() {
		verify, done, err := c.New(ctx, issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		defer done()
		if len(ops) == 0 || strings.Contains(c.Name, s.only) {
			names = append(names, c.Name)
			ops = append(ops, func(n int) error { return verify(ctx, tokens[n%len(tokens)]) })
		}
	}
	live, err := bench.NewLive(ctx, issuer)
	if err != nil {
		return nil, nil, err
	}
	defer live.Verifier.Close()
	names = append(names, "authn, repeated token", "authn, repeated while the list changes", "authn, repeated through Middleware")
	ops = append(ops, live.Verify(ctx), live.WhileListChanges(ctx), live.Middleware(ctx))
	results, err := bench.Compare(ops, s.rounds, s.slice)
	return names, results, err
}

func (s settings) table(w io.Writer, names []string, columns [][]bench.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| CPU per verification; × the bare signature check | %s | allocs | bytes |\n", strings.Join(s.algs, " | "))
	fmt.Fprintf(&b, "|---|%s---|---|\n", strings.Repeat("---|", len(s.algs)))
	for row, name := range names {
		fmt.Fprintf(&b, "| %s |", name)
		var allocs, bytes []float64
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", cell(row, c[row]))
			allocs, bytes = append(allocs, c[row].Allocs.Median), append(bytes, c[row].Bytes.Median)
		}
		fmt.Fprintf(&b, " %s | %s |\n", span(allocs), span(bytes))
	}
	fmt.Fprintf(&b, "\nMedian of %d interleaved rounds of %s each, quartiles in brackets; columns of allocs and bytes: least to most over the algorithms.\n", s.rounds, s.slice)
	fmt.Fprintf(&b, "Repeated: %d live tokens in random order, %d revocations in the list. %s\n", bench.LiveTokens, bench.Revocations, machine())
	if s.only == "" {
		at, worst := bench.ListMemory(bench.Revocations)
		fmt.Fprintf(&b, "Revocation list: %.1f bytes of live heap an entry at %d entries; at most %.1f from half to twice as many.\n", at, bench.Revocations, worst)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(row int, r bench.Result) string {
	switch {
	case row == 0:
		return fmt.Sprintf("%.1f µs (%.1f–%.1f)", r.Nanos.Median/1e3, r.Nanos.Low/1e3, r.Nanos.High/1e3)
	case r.Ratio.Median < 0.2:
		return fmt.Sprintf("%.3f; %.2f µs (%.2f–%.2f)", r.Ratio.Median, r.Nanos.Median/1e3, r.Nanos.Low/1e3, r.Nanos.High/1e3)
	default:
		return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio.Median, r.Ratio.Low, r.Ratio.High)
	}
}

func span(values []float64) string {
	least, most := slices.Min(values), slices.Max(values)
	if int(least+0.5) == int(most+0.5) {
		return fmt.Sprintf("%.0f", least)
	}
	return fmt.Sprintf("%.0f–%.0f", least, most)
}

// machine says what the figures were taken on and with which versions.
func machine() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s, %s/%s, %d cores.", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return s.String()
	}
	for _, m := range info.Deps {
		for _, peer := range []string{"keyfunc/v3", "golang-jwt/jwt/v5", "go-oidc/v3", "go-jwt-middleware/v", "jwx/v3"} {
			if strings.Contains(m.Path, peer) {
				s.WriteString(" " + m.Path[strings.LastIndex(strings.TrimRight(m.Path, "/v0123456789"), "/")+1:] + " " + m.Version + ".")
			}
		}
	}
	return s.String()
}
