package authn

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cached is an entry as a verification would leave it.
func cached(i *issuer, token string, deadline time.Time) *verified {
	e := newVerified(i, vouched{until: deadline})
	e.principal.token, e.principal.expiresAt = token, deadline.Add(-leeway)
	e.settle(nil)
	return e
}

func testIssuer() *issuer { return &issuer{storage: newKeyStorage(time.Now)} }

func (c *tokenCache) add(i *issuer, token string, now time.Time) {
	c.put(cached(i, token, now.Add(time.Hour)), c.hash(token), now)
}

func (c *tokenCache) has(token string) bool { return c.get(token, c.hash(token)) != nil }

func requireConsistent(t *testing.T, c *tokenCache) {
	t.Helper()
	entries, bytes := 0, int64(0)
	for n := range c.slots {
		e := c.slots[n].Load()
		tag := c.tags[n/cacheWays].Load() >> (n % cacheWays * 8) & 0xff
		if e == nil {
			require.Zero(t, tag)
			continue
		}
		require.Equal(t, tagOf(e.hash), tag)
		entries++
		bytes += e.size
	}
	require.Equal(t, entries, c.entries)
	require.Equal(t, bytes, c.bytes)
	require.LessOrEqual(t, entries, c.maxEntries)
	require.LessOrEqual(t, bytes, c.maxBytes)
}

func TestTokenCache_HoldsAsManyAsItMay(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{Bytes: 1 << 30}), testIssuer(), time.Now()
	tokens := make([]string, defaultCacheEntries)
	for n := range tokens {
		tokens[n] = rand.Text()
		c.add(i, tokens[n], now)
	}
	requireConsistent(t, c)
	missing := 0
	for _, token := range tokens {
		if !c.has(token) {
			missing++
		}
	}
	require.LessOrEqual(t, missing, 1, "a token with two full groups is rarer than one in a million")
}

// The flood is of tokens that come once, twenty times as many as fit; the tokens
// in use come again and again meanwhile.
func TestTokenCache_FloodPushesOutTheFlood(t *testing.T) {
	t.Parallel()
	const capacity, hot = 1000, 300
	c, i, now := newTokenCache(CacheConfig{Entries: capacity}), testIssuer(), time.Now()
	inUse := make([]string, hot)
	for n := range inUse {
		inUse[n] = rand.Text()
		c.add(i, inUse[n], now)
	}
	lost := 0
	for n := range 20 * capacity {
		c.add(i, rand.Text(), now)
		if n%(capacity/4) == 0 {
			for _, token := range inUse {
				if !c.has(token) {
					lost++
					c.add(i, token, now)
				}
			}
		}
	}
	requireConsistent(t, c)
	t.Logf("lost %d of %d", lost, 80*hot)
	require.LessOrEqual(t, lost, hot/10)
}

// Even where everything is in use, a flood costs less than what it brings.
func TestTokenCache_FloodIntoAFullCacheInUse(t *testing.T) {
	t.Parallel()
	const capacity = 1000
	c, i, now := newTokenCache(CacheConfig{Entries: capacity}), testIssuer(), time.Now()
	inUse := make([]string, capacity)
	for n := range inUse {
		inUse[n] = rand.Text()
		c.add(i, inUse[n], now)
	}
	misses, looks := 0, 0
	for range 50 {
		for _, token := range inUse {
			if looks++; !c.has(token) {
				misses++
				c.add(i, token, now)
			}
			if looks%10 == 0 {
				c.add(i, rand.Text(), now)
			}
		}
	}
	requireConsistent(t, c)
	t.Logf("missed %d of %d", misses, looks)
	require.Less(t, misses, looks/10, "a tenth of what comes is flood")
}

func TestTokenCache_Bytes(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{Entries: 1000, Bytes: 100 << 10}), testIssuer(), time.Now()
	for n := range 500 {
		c.add(i, strings.Repeat(rand.Text(), 1+n%40), now)
	}
	requireConsistent(t, c)
	require.Positive(t, c.entries)
	big := strings.Repeat("x", 60<<10)
	c.add(i, big, now)
	require.False(t, c.has(big), "larger than the whole cache")
	requireConsistent(t, c)
}

// A payload of tiny elements makes lists that are longer than itself.
func TestPrincipal_SizeCountsLists(t *testing.T) {
	t.Parallel()
	p := &Principal{token: strings.Repeat("x", 1000)}
	plain := p.size()
	p.scopes = make([]string, 1000)
	require.GreaterOrEqual(t, p.size(), plain+16*1000)
	plain = p.size()
	p.permissions = grants{{key: "a", names: make([]string, 100)}, {key: "b"}}
	require.GreaterOrEqual(t, p.size(), plain+16*100+2*40)
}

func TestTokenCache_DeadMakeRoomFirst(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{Entries: 20}), testIssuer(), time.Now()
	for range 20 {
		token := rand.Text()
		c.put(cached(i, token, now.Add(time.Second)), c.hash(token), now)
		require.True(t, c.has(token), "in use")
	}
	later := now.Add(2 * time.Second)
	for range 20 {
		token := rand.Text()
		c.add(i, token, later)
		require.True(t, c.has(token))
	}
	requireConsistent(t, c)
}

func TestTokenCache_SameTokenTwice(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{}), testIssuer(), time.Now()
	token := rand.Text()
	c.add(i, token, now)
	first := c.get(token, c.hash(token))
	c.add(i, token, now)
	require.NotSame(t, first, c.get(token, c.hash(token)))
	requireConsistent(t, c)
	c.drop(first)
	require.True(t, c.has(token), "another entry took its place")
	c.drop(c.get(token, c.hash(token)))
	require.False(t, c.has(token))
	requireConsistent(t, c)
}

// Tokens whose ends are the same, signature and all, are told apart.
func TestTokenCache_ComparesTheWholeToken(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{}), testIssuer(), time.Now()
	end := strings.Repeat("s", 400)
	c.add(i, "a."+end, now)
	require.Equal(t, c.hash("a."+end), c.hash("b."+end), "the same place")
	require.True(t, c.has("a."+end))
	for _, other := range []string{"b." + end, "." + end, end, "aa." + end, "A." + end} {
		require.False(t, c.has(other))
	}
}

func TestTokenCache_Disabled(t *testing.T) {
	t.Parallel()
	c := newTokenCache(CacheConfig{Entries: -1})
	c.add(testIssuer(), "a", time.Now())
	require.False(t, c.has("a"))
}

// Readers and writers at once, for the race detector.
func TestTokenCache_Concurrently(t *testing.T) {
	t.Parallel()
	c, i, now := newTokenCache(CacheConfig{Entries: 50}), testIssuer(), time.Now()
	tokens := make([]string, 200)
	for n := range tokens {
		tokens[n] = rand.Text()
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 5000 {
				token := tokens[(n*(g+1))%len(tokens)]
				switch e := c.get(token, c.hash(token)); {
				case e == nil:
					c.add(i, token, now)
				case e.principal.token != token:
					t.Error("another token's entry")
				case n%7 == 0:
					c.drop(e)
				}
			}
		})
	}
	wg.Wait()
	requireConsistent(t, c)
}
