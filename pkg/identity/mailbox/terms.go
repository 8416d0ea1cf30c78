package mailbox

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// terms are the durable's limits as this consumer applies them.
type terms struct {
	maxDeliver uint64 // 0: no limit
	ackWait    time.Duration
}

func (c *Consumer) terms(declared jetstream.ConsumerConfig) terms {
	t := terms{ackWait: declared.AckWait}
	if t.ackWait <= 0 {
		t.ackWait = defaultAckWait
	}
	// With BackOff declared, its first step is the wait of the first attempt.
	for _, step := range declared.BackOff {
		t.ackWait = min(t.ackWait, step)
	}
	if c.config.AckWait > 0 {
		t.ackWait = min(t.ackWait, c.config.AckWait)
	}
	for _, limit := range []int{declared.MaxDeliver, c.config.MaxDeliver} {
		if limit > 0 && (t.maxDeliver == 0 || uint64(limit) < t.maxDeliver) {
			t.maxDeliver = uint64(limit)
		}
	}
	return t
}
