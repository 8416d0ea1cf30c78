package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
)

// report writes Markdown. Where something is measured more than once, a number
// is the median of the rounds, and in brackets are the least and the most.
type report struct{ w io.Writer }

func (r *report) text(format string, values ...any) {
	fmt.Fprintf(r.w, "\n"+format+"\n", values...)
}

func (r *report) title(title string) { fmt.Fprintf(r.w, "\n## %s\n", title) }

func (r *report) table(head []string, rows ...[]string) {
	fmt.Fprintf(r.w, "\n| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, row := range rows {
		fmt.Fprintf(r.w, "| %s |\n", strings.Join(row, " | "))
	}
}

func (r *report) head(ctx context.Context, s *system) error {
	pool, err := s.database(ctx, devstack.IdentityRelay)
	if err != nil {
		return err
	}
	defer pool.Close()
	var version, fsync string
	if err := pool.QueryRow(ctx, "SELECT split_part(version(), ' ', 2), current_setting('fsync')").Scan(&version, &fsync); err != nil {
		return fmt.Errorf("ask Postgres: %w", err)
	}
	fmt.Fprintf(r.w, "# bench-identity\n\n%s, %d processors, %s/%s, PostgreSQL %s (fsync %s), nats-server %s; %d rounds of %s, in turn.\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, version, fsync,
		s.conn.ConnectedServerVersion(), s.rounds, s.lasting)
	r.text("Numbers are medians of the rounds; least and most are in brackets. The load, NATS, Postgres and the services share the machine. "+
		"Turned up for the run: %d requests a second to the identity provider (default 20), %d erasures an hour from one source before the breaker holds them (default 100), %d connections from the relay to Postgres (default 16); grace is 0 s.",
		idpRequestsPerSecond, erasuresPerHour, s.pool)
	return nil
}

func p50s(l []latency) []time.Duration {
	return each(l, func(l latency) time.Duration { return l.p50 })
}
func p99s(l []latency) []time.Duration {
	return each(l, func(l latency) time.Duration { return l.p99 })
}

func each[T, U any](list []T, fn func(T) U) []U {
	out := make([]U, len(list))
	for i, v := range list {
		out[i] = fn(v)
	}
	return out
}

func durations(values []time.Duration) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s [%s–%s]", ms(measure.Median(values)), ms(measure.Quantile(values, 0)), ms(measure.Quantile(values, 1)))
}

func rates(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f [%.0f–%.0f]", measure.Median(values), measure.Quantile(values, 0), measure.Quantile(values, 1))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func (r *report) pipeline(s *system, f *floors, p pipelineResult) {
	r.title("From a webhook to four inboxes")
	at := func(rate string, l []latency, most []float64) []string {
		return []string{rate, durations(p50s(l)), durations(p99s(l)), rates(most)}
	}
	rate := strconv.Itoa(pipelineRate)
	r.table([]string{"what", "at a rate of", "p50", "p99", "most a second"},
		append([]string{"floor: one row committed, one after another"}, at(strconv.Itoa(floorRate), f.commit.latencies, f.commit.maxima)...),
		append([]string{"floor: one message published and acknowledged, likewise"}, at(strconv.Itoa(floorRate), f.publish.latencies, f.publish.maxima)...),
		append([]string{"webhook → committed (204)"}, at(rate, p.commit, p.taken)...),
		append([]string{"webhook → published (JetStream's time)"}, at(rate, p.stream, nil)...),
		append([]string{"webhook → committed in the last of four inboxes"}, at(rate, p.inboxes, p.most)...),
		append([]string{"the same at half of its most"}, at(rates(p.halfRate), p.half, nil)...),
	)
	r.text("Latency counts from when the webhook was due. The most that is committed is what a closed loop of %d requests got answered; "+
		"the most that reaches the inboxes is the same webhooks divided by the time until each inbox had them all. "+
		"Token-exchange, the fifth consumer of these events, runs beside.", s.connections)
}
