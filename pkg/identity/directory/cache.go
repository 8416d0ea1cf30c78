package directory

import (
	"container/list"
	"sync"
	"time"
)

// entryOverhead is about what an entry costs beside its strings, in bytes: the
// list's element, the map's slot and the entry itself.
const entryOverhead = 256

// entry is what is known of one ID; a nil profile means that the directory does
// not know it.
type entry struct {
	profile *Profile
	at      time.Time
	// version of the event that made or expired the entry; 0 for an answer.
	version uint64
	expired bool
	// lasting entries need no asking again: an event said so, and another would say otherwise.
	lasting bool
}

func (e entry) erased() bool { return e.profile != nil && e.profile.Erased }

func (e entry) addTo(found map[string]Profile, id string) {
	if e.profile != nil {
		found[id] = *e.profile
	}
}

// cache keeps the least recently used entries up to a number of entries and of
// bytes.
type cache struct {
	mu         sync.Mutex
	maxEntries int
	maxBytes   int
	bytes      int
	order      *list.List // of *cached, the most recently used first
	byID       map[string]*list.Element
	missed     time.Time // what is older may have missed an event
}

type cached struct {
	id string
	entry
}

func (c *cached) cost() int {
	cost := entryOverhead + 2*len(c.id)
	if c.profile != nil {
		cost += len(c.profile.Name) + len(c.profile.AvatarURL)
	}
	return cost
}

func newCache(maxEntries, maxBytes int) *cache {
	return &cache{maxEntries: maxEntries, maxBytes: maxBytes, order: list.New(), byID: map[string]*list.Element{}}
}

// get returns what is known of id and whether it may be used without asking.
func (c *cache) get(id string, now time.Time, ttl time.Duration) (e entry, known, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byID[id]
	if !ok {
		return entry{}, false, false
	}
	c.order.MoveToFront(element)
	e = of(element).entry
	fresh = !e.expired && (e.lasting || now.Sub(e.at) < ttl) && e.at.After(c.missed)
	return e, true, fresh
}

// put stores an answer of the directory. A user who was erased and whom the
// directory does not know stays erased; one that it knows under the same ID was
// readmitted only if the entry was expired by an event or a gap.
func (c *cache) put(id string, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byID[id]; ok {
		old := of(element).entry
		e.version = old.version
		if old.erased() && e.profile == nil {
			e.profile, e.lasting = old.profile, old.lasting
		}
	}
	c.store(id, e)
}

// change replaces what is known of id by what an event says, unless a newer
// event was heard already.
func (c *cache) change(id string, version uint64, next func(old entry, known bool) (entry, bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old entry
	element, known := c.byID[id]
	if known {
		old = of(element).entry
	}
	if known && version != 0 && old.version >= version {
		return
	}
	e, keep := next(old, known)
	if !keep {
		if known {
			c.remove(element)
		}
		return
	}
	e.version = version
	c.store(id, e)
}

// expireAll makes everything known so far subject to asking again: events may
// have been missed.
func (c *cache) expireAll(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missed = now
}

func (c *cache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byID[id]; ok {
		c.remove(element)
	}
}

// store must be called with the lock held.
func (c *cache) store(id string, e entry) {
	if element, ok := c.byID[id]; ok {
		c.remove(element)
	}
	added := &cached{id: id, entry: e}
	c.byID[id] = c.order.PushFront(added)
	c.bytes += added.cost()
	for c.order.Len() > c.maxEntries || c.bytes > c.maxBytes {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(element *list.Element) {
	gone := of(element)
	c.bytes -= gone.cost()
	delete(c.byID, gone.id)
	c.order.Remove(element)
}

func of(element *list.Element) *cached {
	return element.Value.(*cached) //nolint:forcetypeassert // nothing else is in the list
}
