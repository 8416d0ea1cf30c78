package authn

import (
	"crypto"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// keySet is one immutable state of an issuer's keys.
type keySet struct {
	// generation changes when any key does; what a cache remembers under
	// another generation is void.
	generation uint64
	keys       map[string]trustedKey
	// fetchedAt is when the issuer last served a usable set.
	fetchedAt time.Time
	// validUntil is fetchedAt and the maximum age.
	validUntil time.Time

	// resolved remembers the keys that this state's keyfunc gave out. It only
	// grows, by at most one entry for each key and algorithm.
	resolved atomic.Pointer[map[keyUse]resolvedKey]
}

// keyUse is what a header asks for.
type keyUse struct{ alg, kid string }

// resolvedKey is a key that may be used so, and until when it is trusted.
type resolvedKey struct {
	key   crypto.PublicKey
	until time.Time
}

// resolve returns a remembered key. keyfunc needs a jwt.Token with a header map
// and copies the JWK several times: a kilobyte in six allocations and forty
// times the time of this, for an answer that only a change of the set can change.
func (s *keySet) resolve(use keyUse, now time.Time) (resolvedKey, bool) {
	known := s.resolved.Load()
	if known == nil {
		return resolvedKey{}, false
	}
	r, ok := (*known)[use]
	return r, ok && now.Before(r.until)
}

func (s *keySet) remember(use keyUse, r resolvedKey) {
	use.kid = strings.Clone(use.kid) // not a part of some request's token
	for {
		old := s.resolved.Load()
		next := make(map[keyUse]resolvedKey)
		if old != nil {
			maps.Copy(next, *old)
		}
		next[use] = r
		if s.resolved.CompareAndSwap(old, &next) {
			return
		}
	}
}

type trustedKey struct {
	jwk jwkset.JWK
	// removedAt is when a fetched set first lacked the key; zero while listed.
	removedAt time.Time
	// until is when a removed key stops being trusted; zero while listed.
	until time.Time
}

// lookup returns the key and until when it is trusted.
func (s *keySet) lookup(kid string, now time.Time) (jwkset.JWK, time.Time, bool) {
	k, ok := s.keys[kid]
	until := s.trustedUntil(k)
	if !ok || !now.Before(until) {
		return jwkset.JWK{}, time.Time{}, false
	}
	return k.jwk, until, true
}

func (s *keySet) trustedUntil(k trustedKey) time.Time {
	if !k.until.IsZero() && k.until.Before(s.validUntil) {
		return k.until
	}
	return s.validUntil
}

func (s *keySet) usable(now time.Time) bool {
	for kid := range s.keys {
		if _, _, ok := s.lookup(kid, now); ok {
			return true
		}
	}
	return false
}

// merge returns the state after fetched came from the issuer at the given
// time. Keys that are gone stay trusted until their bound. A key that changed
// under the same kid is replaced at once: its issuer says so.
func (s *keySet) merge(fetched []jwkset.JWK, at, now time.Time, removedTrust, maxAge time.Duration) *keySet {
	next := &keySet{
		generation: s.generation,
		keys:       make(map[string]trustedKey, len(fetched)),
		fetchedAt:  at,
		validUntil: at.Add(maxAge),
	}
	changed := false
	for _, jwk := range fetched {
		kid := jwk.Marshal().KID
		old, known := s.keys[kid]
		if !known || !sameKey(old.jwk, jwk) {
			changed = true
		}
		next.keys[kid] = trustedKey{jwk: jwk}
	}
	for kid, old := range s.keys {
		if _, listed := next.keys[kid]; listed {
			continue
		}
		if old.removedAt.IsZero() {
			old.removedAt, old.until = now, now.Add(removedTrust)
			// The set it was part of may itself have been near its maximum age.
			if s.validUntil.Before(old.until) {
				old.until = s.validUntil
			}
			changed = true
		}
		if now.Before(old.until) {
			next.keys[kid] = old
		} else {
			changed = true
		}
	}
	if changed {
		next.generation++
	}
	return next
}
