package admission

import (
	"sync"

	"github.com/shadowless/shadowless/services/token-exchange/internal/throttle"
)

// recent remembers a bounded number of keys, in two generations: when the young
// one is full it becomes the old one, and what nobody asked for meanwhile is gone.
type recent struct {
	mu         sync.Mutex
	size       int
	young, old map[string]throttle.Quota
}

func newRecent(size int) *recent {
	return &recent{size: max(size/2, 1), young: map[string]throttle.Quota{}}
}

func (r *recent) add(key string, q throttle.Quota) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[key]; !ok && len(r.young) >= r.size {
		r.old, r.young = r.young, make(map[string]throttle.Quota, len(r.young))
	}
	r.young[key] = q
}

func (r *recent) get(key string) (throttle.Quota, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q, ok := r.young[key]; ok {
		return q, true
	}
	q, ok := r.old[key]
	return q, ok
}

func (r *recent) has(key string) bool {
	_, ok := r.get(key)
	return ok
}
