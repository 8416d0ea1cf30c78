package directory

import (
	"container/list"
	"sync"
	"time"
)

// entry is what is known of one ID; a nil profile means that the directory does
// not know it.
type entry struct {
	profile *Profile
	at      time.Time
}

func (e entry) addTo(found map[string]Profile, id string) {
	if e.profile != nil {
		found[id] = *e.profile
	}
}

// cache keeps the least recently used entries up to a limit.
type cache struct {
	mu      sync.Mutex
	limit   int
	order   *list.List // of *cached, the most recently used first
	byID    map[string]*list.Element
	forgets uint64
}

type cached struct {
	id string
	entry
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), byID: map[string]*list.Element{}}
}

// generation changes with every forget.
func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgets
}

func (c *cache) get(id string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byID[id]
	if !ok {
		return entry{}, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*cached).entry, true //nolint:forcetypeassert // nothing else is in the list
}

// put stores e unless something was forgotten since the generation at which it
// was asked for: the answer may be from before that.
func (c *cache) put(id string, e entry, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgets != generation {
		return
	}
	if element, ok := c.byID[id]; ok {
		element.Value.(*cached).entry = e //nolint:forcetypeassert // nothing else is in the list
		c.order.MoveToFront(element)
		return
	}
	c.byID[id] = c.order.PushFront(&cached{id: id, entry: e})
	for c.order.Len() > c.limit {
		oldest := c.order.Back()
		delete(c.byID, oldest.Value.(*cached).id) //nolint:forcetypeassert // nothing else is in the list
		c.order.Remove(oldest)
	}
}

func (c *cache) forget(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets++
	for _, id := range ids {
		if element, ok := c.byID[id]; ok {
			delete(c.byID, id)
			c.order.Remove(element)
		}
	}
}
