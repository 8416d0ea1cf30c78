package mailbox

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// delivery is one message that the server has handed over and that is not
// settled yet.
type delivery struct {
	Message
	raw  jetstream.Msg
	meta *jetstream.MsgMetadata
}

// lanes spread the messages over the workers: what has the same key stays in one
// lane, and so in order.
type lanes struct {
	consumer *Consumer
	queues   []chan delivery
	workers  sync.WaitGroup
	stop     func()

	mu   sync.Mutex
	held map[uint64]jetstream.Msg // by sequence in the consumer
}

// openLanes starts the workers. When run ends they go on with what is fetched
// for drainTimeout and hand the rest back.
func (c *Consumer) openLanes(run context.Context, t terms) *lanes {
	l := &lanes{consumer: c, held: map[uint64]jetstream.Msg{}}
	patience, lost := context.WithCancel(context.WithoutCancel(run))
	forget := context.AfterFunc(run, func() { time.AfterFunc(drainTimeout, lost) })
	var keeping sync.WaitGroup
	done := make(chan struct{})
	keeping.Go(func() { l.keepAlive(done, t.ackWait/3) })
	l.stop = func() {
		close(done)
		keeping.Wait()
		forget()
		lost()
	}
	for range c.config.Workers {
		queue := make(chan delivery, c.config.BatchSize)
		l.queues = append(l.queues, queue)
		l.workers.Go(func() { l.work(run, patience, queue, t) })
	}
	return l
}

// close waits until everything that was put is settled.
func (l *lanes) close() {
	for _, queue := range l.queues {
		close(queue)
	}
	l.workers.Wait()
	l.stop()
}

// put blocks while the message's lane is full.
func (l *lanes) put(raw jetstream.Msg) {
	meta, err := raw.Metadata()
	if err != nil {
		l.consumer.config.Logger.Error("message without JetStream metadata", "cause", reason(err))
		return
	}
	d := delivery{Message: received(raw, meta), raw: raw, meta: meta}
	l.hold(d)
	key := fnv.New32a()
	_, _ = key.Write([]byte(l.consumer.config.OrderBy(d.Message)))
	l.queues[key.Sum32()%uint32(len(l.queues))] <- d //nolint:gosec // a handful of workers
}

// work takes what waits in the lane, up to a batch, and applies it. After a
// batch that failed the next ones are smaller: where much is wrong, applying
// everything twice would help nobody.
func (l *lanes) work(run, patience context.Context, queue <-chan delivery, t terms) {
	limit := l.consumer.config.BatchSize
	var batch []delivery
	for {
		if len(batch) == 0 {
			first, open := <-queue
			if !open {
				return
			}
			batch = append(batch, first)
		}
		batch = fill(batch, queue, limit)
		if patience.Err() != nil {
			for _, d := range batch {
				_ = d.raw.Nak() // for another replica, now
			}
			l.release(batch...)
			batch = nil
			continue
		}
		n, whole := l.process(run, batch, t)
		batch = batch[n:]
		if whole {
			limit = min(2*limit, l.consumer.config.BatchSize)
		} else {
			limit = max(limit/4, 1)
		}
	}
}

// fill adds to batch what waits in the queue, and waits for nothing.
func fill(batch []delivery, queue <-chan delivery, limit int) []delivery {
	for len(batch) < limit {
		select {
		case d, open := <-queue:
			if !open {
				return batch
			}
			batch = append(batch, d)
		default:
			return batch
		}
	}
	return batch
}

// hold marks messages that wait for their turn.
func (l *lanes) hold(waiting ...delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range waiting {
		l.held[d.meta.Sequence.Consumer] = d.raw
	}
}

// release marks messages whose turn has come: from now on only the deadline of
// their transaction counts, and a handler that ignores it loses its message.
func (l *lanes) release(begun ...delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range begun {
		delete(l.held, d.meta.Sequence.Consumer)
	}
}

// keepAlive restarts the server's clock of every message that waits, so that one
// behind slow ones is not delivered to somebody else meanwhile.
func (l *lanes) keepAlive(done <-chan struct{}, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		for _, raw := range l.held {
			_ = raw.InProgress() // where it fails, the message comes again and finds its inbox row
		}
		l.mu.Unlock()
	}
}
