package authn

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultCacheEntries = 10_000
	defaultCacheBytes   = 64 << 20
	// evictionSample is how many entries are looked at to find one to drop. More
	// would mean that a flood has all of them looked at too often to be used in
	// between.
	evictionSample = 8
	// hashedBytes are 360 bits of a signature.
	hashedBytes = 60
	// cacheWays is how many entries a group has: one for each byte of its tags.
	cacheWays = 8
	// cacheFill is how many of a group's entries are in use when the cache is
	// full. While the cache fills, a token with the choice of two groups finds
	// both full less than once in a million times.
	cacheFill = 5
)

// verified is a token that passed everything but the checks that time changes.
// What a repeated token needs comes first and lies together.
type verified struct {
	hash     uint64
	token    string
	deadline int64 // Unix seconds from which the token is refused
	issuer   *issuer
	vouched  vouched
	checks   []revocationCheck
	// clearAt is the change of the revocation list, plus one, up to which none
	// of checks met an entry; 0 before the first look.
	clearAt atomic.Uint64
	// used: it was wanted again since the last look for something to drop.
	used atomic.Bool
	// ours: the token is for one of Options.Audiences.
	ours   bool
	inline [6]revocationCheck // of most tokens, where checks points to

	size      int64
	principal Principal
}

func newVerified(i *issuer, v vouched) *verified { return &verified{issuer: i, vouched: v} }

// settle copies what a repeated token needs out of the principal.
func (e *verified) settle(audiences []string) {
	p := &e.principal
	e.token, e.deadline = p.token, deadlineOf(p.expiresAt.Unix())
	e.checks = appendRevocationChecks(e.inline[:0], p)
	p.checks = e.checks
	e.ours = slices.ContainsFunc(audiences, p.HasAudience)
	e.size = p.size()
}

func (e *verified) dead(now time.Time) bool {
	return now.Unix() >= e.deadline || !e.issuer.holds(e.vouched, now)
}

// tokenCache remembers verified tokens. A token is found only if every byte of
// it is the same: by its signature alone, a forged payload beside a known
// signature would pass.
//
// Reading takes no lock and writes nothing that is shared, but for one flag of
// an entry, once in a while; so it scales with the cores. Each token has two
// groups that it may be in.
type tokenCache struct {
	maxEntries int
	maxBytes   int64
	seed       maphash.Seed
	tags       []atomic.Uint64            // one for each group: a byte of the hash for each entry, 0 if free
	slots      []atomic.Pointer[verified] // cacheWays for each group

	mu      sync.Mutex // for everything but reading
	entries int
	bytes   int64
	hand    int // the slot where the next look for something to drop begins
}

func newTokenCache(cfg CacheConfig) *tokenCache {
	c := &tokenCache{maxEntries: cfg.Entries, maxBytes: cfg.Bytes, seed: maphash.MakeSeed()}
	if c.maxEntries == 0 {
		c.maxEntries = defaultCacheEntries
	}
	if c.maxBytes <= 0 {
		c.maxBytes = defaultCacheBytes
	}
	if c.maxEntries > 0 {
		groups := max(2, (c.maxEntries+cacheFill-1)/cacheFill)
		c.tags = make([]atomic.Uint64, groups)
		c.slots = make([]atomic.Pointer[verified], groups*cacheWays)
	}
	return c
}

// hash says where to look, no more: what is found there is compared whole. The
// end of a token is a piece of its signature, which is as good as random, and
// only tokens whose signature is right get in. To hash a kilobyte would take
// longer than the rest of the search.
func (c *tokenCache) hash(token string) uint64 {
	return maphash.String(c.seed, token[max(0, len(token)-hashedBytes):])
}

// groups returns the two groups of a hash.
func (c *tokenCache) groups(hash uint64) [2]int {
	n := uint64(len(c.tags))
	first, _ := bits.Mul64(hash, n)
	second, _ := bits.Mul64(hash<<29, n)
	if first == second {
		second = (first + 1) % n
	}
	return [2]int{int(first), int(second)} //nolint:gosec // both are below n, a length
}

// tagOf is never 0.
func tagOf(hash uint64) uint64 { return hash&0x7f | 0x80 }

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// matching has the high bit set in each byte of word that is tag, and perhaps
// in some above such a byte.
func matching(word, tag uint64) uint64 {
	x := word ^ tag*lowBits
	return (x - lowBits) &^ x & highBits
}

// get returns the entry of token, or nil.
func (c *tokenCache) get(token string, hash uint64) *verified {
	if len(c.tags) == 0 {
		return nil
	}
	for _, g := range c.groups(hash) {
		for m := matching(c.tags[g].Load(), tagOf(hash)); m != 0; m &= m - 1 {
			e := c.slots[g*cacheWays+bits.TrailingZeros64(m)/8].Load()
			if e != nil && e.hash == hash && e.token == token {
				if !e.used.Load() {
					e.used.Store(true)
				}
				return e
			}
		}
	}
	return nil
}

// put remembers e. Where there is no room, a dead entry makes it, or one that
// nobody has asked for since the last time; if a sample of the cache has none,
// e is not remembered this time. So a flood of tokens that come once pushes out
// others of the flood, and not the ones that are in use.
func (c *tokenCache) put(e *verified, hash uint64, now time.Time) {
	e.hash = hash
	if len(c.tags) == 0 || e.size > c.maxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.get(e.token, hash); old != nil {
		c.removeLocked(old)
	}
	for c.entries >= c.maxEntries || c.bytes+e.size > c.maxBytes {
		if !c.evictLocked(now) {
			return
		}
	}
	slot, ok := c.freeLocked(hash, now)
	if !ok {
		return
	}
	c.slots[slot].Store(e)
	c.tagLocked(slot, tagOf(hash))
	c.entries++
	c.bytes += e.size
}

// freeLocked returns a free slot in the emptier of the two groups. Where both
// are full, an idle entry makes room.
func (c *tokenCache) freeLocked(hash uint64, now time.Time) (int, bool) {
	groups := c.groups(hash)
	free := [2]uint64{^c.tags[groups[0]].Load() & highBits, ^c.tags[groups[1]].Load() & highBits}
	fuller := 0
	if bits.OnesCount64(free[1]) < bits.OnesCount64(free[0]) {
		fuller = 1
	}
	if f := free[1-fuller]; f != 0 {
		return groups[1-fuller]*cacheWays + bits.TrailingZeros64(f)/8, true
	}
	for _, g := range groups {
		for slot := g * cacheWays; slot < (g+1)*cacheWays; slot++ {
			if e := c.slots[slot].Load(); !e.used.Load() || e.dead(now) {
				c.clearLocked(slot, e)
				return slot, true
			}
		}
	}
	return 0, false
}

// evictLocked drops an entry, if it finds one among the next few.
func (c *tokenCache) evictLocked(now time.Time) bool {
	looked := 0
	for range c.slots {
		slot := c.hand
		if c.hand++; c.hand == len(c.slots) {
			c.hand = 0
		}
		if c.slots[slot].Load() == nil {
			continue
		}
		if c.dropIfIdleLocked(slot, now) {
			return true
		}
		if looked++; looked == evictionSample {
			break
		}
	}
	return false
}

// dropIfIdleLocked drops an entry that is dead, or was not used since it was
// last asked this.
func (c *tokenCache) dropIfIdleLocked(slot int, now time.Time) bool {
	e := c.slots[slot].Load()
	if e.used.Swap(false) && !e.dead(now) {
		return false
	}
	c.clearLocked(slot, e)
	return true
}

// drop forgets e, unless another entry took its place.
func (c *tokenCache) drop(e *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(e)
}

func (c *tokenCache) removeLocked(e *verified) {
	for _, g := range c.groups(e.hash) {
		for slot := g * cacheWays; slot < (g+1)*cacheWays; slot++ {
			if c.slots[slot].Load() == e {
				c.clearLocked(slot, e)
				return
			}
		}
	}
}

func (c *tokenCache) clearLocked(slot int, e *verified) {
	c.tagLocked(slot, 0)
	c.slots[slot].Store(nil)
	c.entries--
	c.bytes -= e.size
}

func (c *tokenCache) tagLocked(slot int, tag uint64) {
	word, shift := &c.tags[slot/cacheWays], slot%cacheWays*8
	word.Store(word.Load()&^(0xff<<shift) | tag<<shift)
}

// own copies a token out of the request's buffers, which it would keep alive.
func own(token string) string { return strings.Clone(token) }
