package users

import (
	"sync"
	"time"
)

// maxSeen bounds the memory of a replica, in users: about 10 MB.
const maxSeen = 100_000

// seen remembers for a moment whose row is there and not banned. A deletion or a
// ban that another replica hears of is noticed here when that moment is over; a
// write is refused at once, by its foreign key.
type seen struct {
	lifetime time.Duration
	now      func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
}

func newSeen(lifetime time.Duration, now func() time.Time) *seen {
	return &seen{lifetime: lifetime, now: now, until: map[string]time.Time{}}
}

func (s *seen) has(userID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.until[userID]
	return known && s.now().Before(until)
}

func (s *seen) add(userID string) {
	if s.lifetime <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) >= maxSeen {
		clear(s.until)
	}
	s.until[userID] = s.now().Add(s.lifetime)
}

func (s *seen) forget(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, userID)
}
