package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// replica is the memory of one replica of some service: the list that its
// requests would ask, and the feed that every service runs.
type replica struct {
	list *authn.RevocationList
	conn *nats.Conn
	stop context.CancelFunc
	done chan error
}

func openReplica(ctx context.Context, running *devstack.Running, name string, log *slog.Logger) (*replica, error) {
	conn, js, err := connect(running, log)
	if err != nil {
		return nil, err
	}
	r := &replica{list: authn.NewRevocationList(authn.RevocationListOptions{}), conn: conn, done: make(chan error, 1)}
	feed := revocation.NewFeed(js, revocation.FeedConfig{Instance: name, Upstream: streams.RevokerHeartbeat, Logger: log})
	ctx, r.stop = context.WithCancel(ctx)
	go func() { r.done <- feed.Run(ctx, r.list) }()
	return r, nil
}

func (r *replica) close() error {
	r.stop()
	err := <-r.done
	r.conn.Close()
	return err
}

var errNotLoaded = errors.New("a replica did not load within two minutes")

func (r *replica) loaded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !r.list.Loaded() {
		select {
		case <-ctx.Done():
			return errNotLoaded
		case <-ticker.C:
		}
	}
	return nil
}

// loading is what a fresh replica tells.
type loading struct {
	Entries int           `json:"entries"`
	Took    time.Duration `json:"took"`
	Live    int64         `json:"live"` // bytes of live heap that loading added
}

// runReplica is a process that loads, tells, and ends.
func runReplica(state string) error {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	running, err := devstack.FindRunning(ctx, state)
	if err != nil {
		return err
	}
	before, begun := liveHeap(), time.Now()
	r, err := openReplica(ctx, running, "bench-fresh", log)
	if err != nil {
		return err
	}
	if err := r.loaded(ctx); err != nil {
		return err
	}
	told := loading{Entries: r.list.Len(), Took: time.Since(begun)}
	told.Live = liveHeap() - before
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		return err
	}
	return r.close()
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first made unreachable by finalizers
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // far below 2^63
}

// arrivals follow revocations, by their keys, into the memory of each replica.
type arrivals struct {
	mu      sync.Mutex
	pending map[authn.RevocationKey]*arrival
	took    tooks
	waiting sync.WaitGroup
}

// tooks of those that are everywhere.
type tooks struct {
	fromDue    []time.Duration
	fromAnswer []time.Duration // 0 where the answer came later than the revocation
}

type arrival struct {
	due, answered, last time.Time
	left                int // replicas, and the answer
}

func newArrivals() *arrivals { return &arrivals{pending: map[authn.RevocationKey]*arrival{}} }

// expect must come before the revocation is made.
func (a *arrivals) expect(key authn.RevocationKey, due time.Time, replicas int) {
	a.waiting.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending[key] = &arrival{due: due, left: replicas + 1}
}

func (a *arrivals) answered(key authn.RevocationKey, at time.Time) {
	a.step(key, func(p *arrival) { p.answered = at })
}

func (a *arrivals) arrived(key authn.RevocationKey, at time.Time) {
	a.step(key, func(p *arrival) {
		if at.After(p.last) {
			p.last = at
		}
	})
}

func (a *arrivals) step(key authn.RevocationKey, note func(*arrival)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pending[key]
	if p == nil {
		return
	}
	note(p)
	if p.left--; p.left > 0 {
		return
	}
	a.took.fromDue = append(a.took.fromDue, p.last.Sub(p.due))
	a.took.fromAnswer = append(a.took.fromAnswer, max(0, p.last.Sub(p.answered)))
	delete(a.pending, key)
	a.waiting.Done()
}

// collect waits for everything that is expected and returns how long each took
// to the last replica.
func (a *arrivals) collect(ctx context.Context) (tooks, error) {
	done := make(chan struct{})
	go func() {
		a.waiting.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return tooks{}, ctx.Err()
	case <-time.After(patience):
		a.mu.Lock()
		defer a.mu.Unlock()
		return tooks{}, fmt.Errorf("%w: %d revocations", errLost, len(a.pending))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	took := a.took
	a.took = tooks{}
	return took, nil
}
