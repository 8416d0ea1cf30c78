package directory

import (
	"context"
	"time"
)

// flight is one call for one batch. Whoever wants an ID that is on its way waits
// for it and does not ask again.
type flight struct {
	ids    []string
	email  bool
	at     time.Time
	done   chan struct{}
	answer map[string]Profile // after done
	err    error              // after done
}

// board returns the flights that bring ids, started where there is none. While
// the directory has just failed to answer, it returns that failure instead of
// waiting for another.
func (c *Client) board(ctx context.Context, ids []string, email bool, now time.Time) (map[string]*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	boarded := make(map[string]*flight, len(ids))
	var alone []string
	for _, id := range ids {
		if f := c.flights[id]; f != nil && !email {
			boarded[id] = f
			continue
		}
		if e, _, fresh := c.cache.get(id, now, c.config.TTL); fresh && !email {
			boarded[id] = landed(id, e) // since the caller last looked
			continue
		}
		alone = append(alone, id)
	}
	if len(alone) > 0 && c.failure != nil && now.Before(c.failedAt.Add(c.config.RetryAfter)) && !now.Before(c.failedAt) {
		return boarded, c.failure
	}
	for len(alone) > 0 {
		n := min(len(alone), MaxBatch)
		f := &flight{ids: alone[:n:n], email: email, at: now, done: make(chan struct{})}
		alone = alone[n:]
		for _, id := range f.ids {
			boarded[id] = f
			if !email {
				c.flights[id] = f
			}
		}
		go c.fly(context.WithoutCancel(ctx), f)
	}
	return boarded, nil
}

// landed is a flight that is over.
func landed(id string, e entry) *flight {
	f := &flight{done: make(chan struct{}), answer: map[string]Profile{}}
	e.addTo(f.answer, id)
	close(f.done)
	return f
}

// fly asks, whether or not the caller who began it still waits: others may, and
// the next one finds the answer in the cache.
func (c *Client) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	f.answer, f.err = c.ask(ctx, f.ids, f.email)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	if f.err != nil {
		c.failure, c.failedAt = f.err, c.config.Now()
	} else {
		c.failure = nil
	}
	for _, id := range f.ids {
		if c.flights[id] != f {
			continue // an event overtook the answer, or it holds an e-mail address
		}
		delete(c.flights, id)
		if f.err != nil {
			continue
		}
		e := entry{at: f.at}
		if p, known := f.answer[id]; known {
			e.profile = &p
		}
		c.cache.put(id, e)
	}
}

// overtake keeps the answers that are on their way for ids out of the cache, and
// later look-ups off their flights: they may be from before what is known now.
func (c *Client) overtake(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.flights, id)
	}
}
