// Package limit counts attempts per client address in fixed windows.
package limit

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxAddresses bounds the memory; past it every window is forgotten, which
// errs on the side of letting in.
const maxAddresses = 10_000

// Limiter allows so many attempts per window and key. A zero Limiter's Attempts
// means no limit.
type Limiter struct {
	attempts int
	window   time.Duration
	now      func() time.Time

	mu   sync.Mutex
	seen map[string]*span
}

type span struct {
	start time.Time
	count int
}

// New makes a limiter; attempts 0 is no limit.
func New(attempts int, window time.Duration, now func() time.Time) *Limiter {
	return &Limiter{attempts: attempts, window: window, now: now, seen: map[string]*span{}}
}

// Allow counts an attempt. When it is one too many, wait is how long the window
// still lasts.
func (l *Limiter) Allow(key string) (wait time.Duration, ok bool) {
	if l.attempts <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	current := l.seen[key]
	if current == nil || now.Sub(current.start) >= l.window {
		if len(l.seen) >= maxAddresses {
			clear(l.seen)
		}
		current = &span{start: now}
		l.seen[key] = current
	}
	if current.count >= l.attempts {
		return current.start.Add(l.window).Sub(now), false
	}
	current.count++
	return 0, true
}

// Refuse writes the 429: plain text and X-Retry-After in seconds.
func Refuse(w http.ResponseWriter, wait time.Duration) {
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	w.Header().Set("X-Retry-After", strconv.Itoa(max(seconds, 1)))
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte(`{"message":"Too many requests. Please try again later."}`))
}
