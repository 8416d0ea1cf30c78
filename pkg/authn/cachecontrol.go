package authn

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// minRefresh is the shortest time between two fetches that an issuer's
// Cache-Control can bring about. The longest is KeysConfig.Refresh: a max-age
// beyond it would lengthen the trust in a withdrawn key.
const minRefresh = 30 * time.Second

// maxCacheSeconds keeps a max-age from overflowing a duration.
const maxCacheSeconds = 1 << 31

// refreshAfter is when to fetch again, given what Cache-Control granted.
func refreshAfter(refresh, maxAge time.Duration) time.Duration {
	if maxAge <= 0 {
		return refresh
	}
	return min(refresh, max(maxAge, minRefresh))
}

// freshFor reads how long an answer may be kept (RFC 9111, section 4.2): max-age
// less the time that it already spent in caches on the way. It is 0 where
// nothing is said or caching is forbidden; the configured interval holds then.
func freshFor(h http.Header, now time.Time) time.Duration {
	maxAge, found := int64(0), false
	for _, field := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-cache", "no-store":
				return 0
			case "max-age":
				seconds, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(value), `"`), 10, 64)
				if err != nil || seconds < 0 {
					return 0
				}
				// Of contradictory values the shortest holds.
				if seconds = min(seconds, maxCacheSeconds); !found || seconds < maxAge {
					maxAge, found = seconds, true
				}
			}
		}
	}
	if !found {
		return untilExpires(h, now)
	}
	if age, err := strconv.ParseInt(h.Get("Age"), 10, 64); err == nil && age > 0 {
		maxAge -= min(age, maxCacheSeconds)
	}
	// Used up on the way is not the same as nothing said: fetch soon.
	return max(time.Duration(maxAge)*time.Second, time.Nanosecond)
}

// untilExpires reads the older Expires field.
func untilExpires(h http.Header, now time.Time) time.Duration {
	at, err := http.ParseTime(h.Get("Expires"))
	if err != nil || !at.After(now) {
		return 0
	}
	return at.Sub(now)
}
