package signup

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxAddresses = 10_000
	// ipv6Network is what one subscriber usually gets: a single address there
	// is no limit at all.
	ipv6Network = 64
)

// Limiter limits sign-ups by the client's address. It remembers a bounded number
// of addresses and forgets the one that was quiet longest.
type Limiter struct {
	every time.Duration
	burst int
	now   func() time.Time

	mu     sync.Mutex
	byAddr map[netip.Prefix]*list.Element
	recent *list.List // front: latest
}

type bucket struct {
	network netip.Prefix
	limiter *rate.Limiter
}

// NewLimiter allows burst sign-ups at once and then one every interval.
func NewLimiter(every time.Duration, burst int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{every: every, burst: burst, now: now, byAddr: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// Take returns 0, or how long the address must wait.
func (l *Limiter) Take(addr netip.Addr) time.Duration {
	bits := addr.Unmap().BitLen()
	if addr.Unmap().Is6() {
		bits = ipv6Network
	}
	network, err := addr.Unmap().WithZone("").Prefix(bits)
	if err != nil {
		network = netip.Prefix{} // unknown addresses share a bucket
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.byAddr[network]
	if ok {
		l.recent.MoveToFront(element)
	} else {
		if len(l.byAddr) >= maxAddresses {
			quietest := l.recent.Back()
			delete(l.byAddr, quietest.Value.(*bucket).network) //nolint:forcetypeassert // only buckets are in the list
			l.recent.Remove(quietest)
		}
		element = l.recent.PushFront(&bucket{network, rate.NewLimiter(rate.Every(l.every), l.burst)})
		l.byAddr[network] = element
	}
	now := l.now()
	reserved := element.Value.(*bucket).limiter.ReserveN(now, 1) //nolint:forcetypeassert // only buckets are in the list
	delay := reserved.DelayFrom(now)
	if delay > 0 {
		reserved.CancelAt(now) // a refused attempt costs nothing
	}
	return delay
}

// Len is how many addresses are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byAddr)
}
