package mailbox

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// backoff doubles from firstBackoff to lastBackoff, with jitter so that
// replicas do not return all at once after an outage.
type backoff struct{ last time.Duration }

func (b *backoff) reset() { b.last = 0 }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), lastBackoff)
	return b.last/2 + rand.N(b.last/2) //nolint:gosec // jitter needs no secrecy
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
