package revocation

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn"
)

// maxUnanswered bounds the heartbeats that are remembered while none comes back.
const maxUnanswered = 64

// pulse writes this replica's heartbeat and recognizes it when it comes back. A
// heartbeat that comes back proves that everything put before it was seen.
type pulse struct {
	own, upstream string
	interval      time.Duration

	mu   sync.Mutex
	sent map[string]time.Time

	ownAt time.Time
	// skew is the server's clock minus ours, and upstreamAt is in the server's
	// time: both heartbeats are stamped by one clock, so that ours need not agree.
	skew       time.Duration
	upstreamAt time.Time
}

func newPulse(config FeedConfig) *pulse {
	p := &pulse{own: HeartbeatPrefix + config.Instance, interval: config.Interval, sent: map[string]time.Time{}}
	if config.Upstream != "" {
		p.upstream = HeartbeatPrefix + config.Upstream
	}
	return p
}

// beat writes until ctx ends. A failed write needs no word: the watch notices
// that nothing comes back.
func (p *pulse) beat(ctx context.Context, kv jetstream.KeyValue) {
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		now := time.Now()
		text := strconv.FormatInt(now.UnixNano(), 10)
		p.mu.Lock()
		if len(p.sent) >= maxUnanswered {
			clear(p.sent)
		}
		p.sent[text] = now
		p.mu.Unlock()
		writing, cancel := context.WithTimeout(ctx, max(p.interval, time.Second))
		_, _ = kv.Put(writing, p.own, []byte(text))
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// received reports whether entry is a heartbeat, and up to when the list is
// complete; zero if that is not known yet. staleness is the list's before it.
func (p *pulse) received(entry jetstream.KeyValueEntry, staleness time.Duration) (heartbeat bool, at time.Time) {
	if !strings.HasPrefix(entry.Key(), HeartbeatPrefix) {
		return false, time.Time{}
	}
	switch entry.Key() {
	case p.own:
		p.mu.Lock()
		sentAt, ours := p.sent[string(entry.Value())]
		delete(p.sent, string(entry.Value()))
		p.mu.Unlock()
		if !ours {
			return true, time.Time{} // from before a restart of this replica
		}
		p.ownAt, p.skew = sentAt, entry.Created().Sub(sentAt)
	case p.upstream:
		if staleness > authn.DefaultMaxStaleness && bytes.HasSuffix(entry.Value(), []byte(rebuilding)) {
			return true, time.Time{} // what it lacks is not in the bucket yet
		}
		p.upstreamAt = entry.Created()
	default:
		return true, time.Time{}
	}
	if p.upstream == "" || p.ownAt.IsZero() {
		return true, p.ownAt
	}
	if p.upstreamAt.IsZero() {
		return true, time.Time{}
	}
	if upstream := p.upstreamAt.Add(-p.skew); upstream.Before(p.ownAt) {
		return true, upstream
	}
	return true, p.ownAt
}
