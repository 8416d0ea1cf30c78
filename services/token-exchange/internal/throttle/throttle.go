// Package throttle limits how often something happens under a key, exactly,
// however many do it at once, and in bounded memory, however many keys there are.
package throttle

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// Quota is how many may pass at once, and the time in which as many more come
// free, one after the other. The zero value has no limit.
type Quota struct {
	Requests int           `yaml:"requests"`
	Per      time.Duration `yaml:"per"`
}

// Unlimited reports whether there is no limit.
func (q Quota) Unlimited() bool { return q.Requests <= 0 || q.Per <= 0 }

// Above reports whether q lets more pass than other.
func (q Quota) Above(other Quota) bool {
	switch {
	case other.Unlimited():
		return false
	case q.Unlimited():
		return true
	}
	return q.interval() < other.interval() || q.Requests > other.Requests
}

func (q Quota) interval() time.Duration { return q.Per / time.Duration(q.Requests) }

const shards = 16

// Limiter counts under keys. It forgets the key that was used least recently
// when it is full.
type Limiter struct {
	seed   maphash.Seed
	now    func() time.Time
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  *list.List // of *entry, the latest first
	size    int
}

// entry is the generic cell rate algorithm's: the time at which everything that
// was taken has come free again.
type entry struct {
	key  string
	free time.Time
}

// New makes a limiter that remembers about size keys.
func New(size int, now func() time.Time) *Limiter {
	l := &Limiter{seed: maphash.MakeSeed(), now: now}
	for i := range l.shards {
		l.shards[i] = shard{entries: map[string]*list.Element{}, recent: list.New(), size: max(size/shards, 1)}
	}
	return l
}

// Take counts one under the key. Where the quota is used up, it counts nothing
// and says when to come back.
func (l *Limiter) Take(key string, q Quota) (wait time.Duration, ok bool) {
	if q.Unlimited() {
		return 0, true
	}
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.now()
	e := s.entry(key)
	free := e.free
	if free.Before(now) {
		free = now
	}
	free = free.Add(q.interval())
	if over := free.Sub(now) - q.Per; over > 0 {
		return over, false
	}
	e.free = free
	return 0, true
}

// Full says whether Take would refuse, and for how long. It counts nothing.
func (l *Limiter) Full(key string, q Quota) (wait time.Duration, full bool) {
	if q.Unlimited() {
		return 0, false
	}
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.entries[key]
	if !ok {
		return 0, false
	}
	over := found.Value.(*entry).free.Add(q.interval()).Sub(l.now()) - q.Per //nolint:forcetypeassert // the list's only type
	return max(over, 0), over > 0
}

// Len is how many keys are remembered.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

func (l *Limiter) shard(key string) *shard {
	return &l.shards[maphash.String(l.seed, key)%shards]
}

func (s *shard) entry(key string) *entry {
	if found, ok := s.entries[key]; ok {
		s.recent.MoveToFront(found)
		return found.Value.(*entry) //nolint:forcetypeassert // the list's only type
	}
	if len(s.entries) >= s.size {
		oldest := s.recent.Back()
		s.recent.Remove(oldest)
		delete(s.entries, oldest.Value.(*entry).key) //nolint:forcetypeassert // the list's only type
	}
	e := &entry{key: key}
	s.entries[key] = s.recent.PushFront(e)
	return e
}
