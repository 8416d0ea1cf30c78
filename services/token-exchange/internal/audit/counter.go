package audit

import (
	"context"
	"sync"
	"time"
)

const (
	// countEvery is how often counts are written: what a crash can lose of them.
	countEvery = time.Second
	// maxCounts bounds what is counted apart between two writes; beyond it
	// attempts are counted under their reason alone.
	maxCounts = 10_000
)

// counter adds attempts up between two writes.
type counter struct {
	mu     sync.Mutex
	counts map[Refusal]int64
}

func newCounter() *counter { return &counter{counts: map[Refusal]int64{}} }

func (c *counter) add(a Attempt) {
	at := Refusal{Minute: a.At.UTC().Truncate(time.Minute), Address: a.Address, Reason: a.Reason}
	if a.Limited && a.ClientID != "" {
		at.KeyID = a.KeyID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.counts[at]; !known && len(c.counts) >= maxCounts {
		at.Address, at.KeyID = "", ""
	}
	c.counts[at]++
}

func (c *counter) take() map[Refusal]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.counts) == 0 {
		return nil
	}
	taken := c.counts
	c.counts = map[Refusal]int64{}
	return taken
}

// putBack keeps what could not be written.
func (c *counter) putBack(counts map[Refusal]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, n := range c.counts {
		if _, known := counts[at]; !known && len(counts) >= maxCounts {
			at.Address, at.KeyID = "", ""
		}
		counts[at] += n
	}
	c.counts = counts
}

func (l *Log) runCounts(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.writeCounts(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			l.writeCounts(ctx)
		}
	}
}

func (l *Log) writeCounts(ctx context.Context) {
	counts := l.counts.take()
	if counts == nil {
		return
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := l.store.AddRefusals(writing, counts); err != nil {
		l.log.ErrorContext(ctx, "counts of refused attempts wait", "count", len(counts), "cause", err)
		l.counts.putBack(counts)
	}
}
