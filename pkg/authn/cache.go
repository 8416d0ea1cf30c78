package authn

import (
	"strings"
	"sync"
	"time"
)

const (
	defaultCacheEntries = 10_000
	defaultCacheBytes   = 64 << 20
	// entryOverhead estimates what an entry takes beside its token and the
	// claims decoded from it, which are about as long again.
	entryOverhead = 1024
	// evictionSample is how many entries are compared to find one to drop.
	evictionSample = 8
)

// verified is a token that passed everything but the checks that time changes.
type verified struct {
	principal *Principal
	issuer    *issuer
	vouched   vouched
	size      int64
}

// tokenCache remembers verified tokens. The key is the whole token: by its
// signature alone, a forged payload beside a known signature would pass.
type tokenCache struct {
	maxEntries int
	maxBytes   int64

	mu      sync.RWMutex
	entries map[string]*verified
	bytes   int64
}

func newTokenCache(cfg CacheConfig) *tokenCache {
	c := &tokenCache{maxEntries: cfg.Entries, maxBytes: cfg.Bytes, entries: make(map[string]*verified)}
	if c.maxEntries == 0 {
		c.maxEntries = defaultCacheEntries
	}
	if c.maxBytes <= 0 {
		c.maxBytes = defaultCacheBytes
	}
	return c
}

func (c *tokenCache) get(token string) *verified {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[token]
}

// drop forgets e, unless another entry took its place.
func (c *tokenCache) drop(token string, e *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[token] == e {
		c.removeLocked(token, e)
	}
}

func (c *tokenCache) removeLocked(token string, e *verified) {
	delete(c.entries, token)
	c.bytes -= e.size
}

func (c *tokenCache) put(e *verified, now time.Time) {
	token := e.principal.token
	e.size = int64(2*len(token) + entryOverhead)
	if c.maxEntries < 0 || e.size > c.maxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[token]; old != nil {
		c.removeLocked(token, old)
	}
	for len(c.entries) >= c.maxEntries || c.bytes+e.size > c.maxBytes {
		c.evictLocked(now)
	}
	c.entries[token] = e
	c.bytes += e.size
}

// evictLocked drops, of a few entries in map order, which is random, those
// that are dead, or else the one that dies first.
func (c *tokenCache) evictLocked(now time.Time) {
	var victim *verified
	seen, dropped := 0, false
	for token, e := range c.entries {
		if !e.issuer.holds(e.vouched, now) || !now.Before(e.principal.expiresAt.Add(leeway)) {
			c.removeLocked(token, e)
			dropped = true
		} else if victim == nil || e.principal.expiresAt.Before(victim.principal.expiresAt) {
			victim = e
		}
		if seen++; seen >= evictionSample {
			break
		}
	}
	if !dropped && victim != nil {
		c.removeLocked(victim.principal.token, victim)
	}
}

// own copies a token out of the request's buffers, which it would keep alive.
func own(token string) string { return strings.Clone(token) }
