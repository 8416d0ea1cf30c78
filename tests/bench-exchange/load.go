package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowless/shadowless/internal/measure"
)

// generator sends the same request to a target, over and over.
type generator struct {
	target *target
	client *http.Client
}

func newGenerator(t *target, connections int) *generator {
	return &generator{t, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}}
}

func (g *generator) close() { g.client.CloseIdleConnections() }

const form = "grant_type=client_credentials"

func (g *generator) send(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.target.url, strings.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(benchClient, url.QueryEscape(g.target.key))
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	if err == nil && (resp.StatusCode != http.StatusOK || n < 256) {
		err = fmt.Errorf("%s answered %d with %d bytes", g.target.name(), resp.StatusCode, n)
	}
	return err
}

// full sends as fast as the connections let it until stop says so, and returns
// how many were answered.
func (g *generator) full(ctx context.Context, connections int, stop func(sent int64) bool) (int64, error) {
	var sent atomic.Int64
	var failed atomic.Pointer[error]
	var done sync.WaitGroup
	for range connections {
		done.Go(func() {
			for failed.Load() == nil && ctx.Err() == nil && !stop(sent.Load()) {
				if err := g.send(ctx); err != nil {
					failed.Store(&err)
					return
				}
				sent.Add(1)
			}
		})
	}
	done.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return sent.Load(), ctx.Err()
}

func during(d time.Duration) func(int64) bool {
	end := time.Now().Add(d)
	return func(int64) bool { return time.Now().After(end) }
}

// steady sends at a rate, whatever the answers do, and returns how long each took
// from the moment at which it was due: waiting for a free connection counts.
func (g *generator) steady(ctx context.Context, connections int, rate float64, d time.Duration) ([]time.Duration, error) {
	took := make([]time.Duration, int(rate*d.Seconds()))
	err := measure.Steady(ctx, connections, rate, d, func(ctx context.Context, i int, due time.Time) error {
		err := g.send(ctx)
		took[i] = time.Since(due)
		return err
	})
	slices.Sort(took)
	return took, err
}

// result of one target, a value a round.
type result struct {
	target       *target
	perCPUSecond []float64
	perSecond    []float64
	p50, p99     []time.Duration
}

// measure is one round.
func (r *result) measure(ctx context.Context, o options) error {
	g := newGenerator(r.target, o.connections)
	defer g.close()
	if _, err := g.full(ctx, o.connections, during(o.lasting/8)); err != nil { // warm
		return err
	}
	before, err := r.target.process.CPU()
	if err != nil {
		return err
	}
	start := time.Now()
	sent, err := g.full(ctx, o.connections, during(o.lasting))
	if err != nil {
		return err
	}
	took := time.Since(start)
	after, err := r.target.process.CPU()
	if err != nil {
		return err
	}
	rate := float64(sent) / took.Seconds()
	r.perCPUSecond = append(r.perCPUSecond, float64(sent)/(after-before).Seconds())
	r.perSecond = append(r.perSecond, rate)
	return nil
}

// latencyEvery so many rounds latency is measured too.
const latencyEvery = 4

// latency is at half of what the target has shown so far.
func (r *result) latency(ctx context.Context, o options) error {
	if r.target.kind != floorSelect && r.target.kind != theService {
		return nil
	}
	g := newGenerator(r.target, o.connections)
	defer g.close()
	latencies, err := g.steady(ctx, o.connections, measure.Median(r.perSecond)/2, 3*o.lasting)
	if err != nil || len(latencies) == 0 {
		return err
	}
	r.p50, r.p99 = append(r.p50, measure.At(latencies, 0.5)), append(r.p99, measure.At(latencies, 0.99))
	return nil
}
