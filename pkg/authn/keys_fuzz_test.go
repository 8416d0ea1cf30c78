package authn

import (
	"net/http"
	"testing"
	"time"
)

// FuzzParseJWKS feeds any bytes as a key set: no panic, and only keys that
// some algorithm can use.
func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(oneKey))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","kid":"b","x":"AAAA","y":"AAAA"},null,7]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"MaGgDOMdPm0rYbVd96ZD5kKtkzJH-3yGVcuq9IIobOo","x":"twice"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _, err := parseJWKS(data)
		if err != nil && len(keys) > 0 {
			t.Fatal("keys of a set that is refused")
		}
		seen := map[string]bool{}
		for _, jwk := range keys {
			kid := jwk.Marshal().KID
			if kid == "" || seen[kid] || checkKey(jwk.Key()) != nil {
				t.Fatalf("unusable key %q", kid)
			}
			seen[kid] = true
		}
	})
}

// FuzzCacheControl feeds any header: no panic, and never an interval beyond
// the bounds.
func FuzzCacheControl(f *testing.F) {
	f.Add("max-age=60", "10", "")
	f.Add(`private, max-age="600", no-cache`, "-1", "Sat, 21 Nov 2026 12:00:00 GMT")
	f.Fuzz(func(t *testing.T, cacheControl, age, expires string) {
		h := http.Header{"Cache-Control": {cacheControl}, "Age": {age}, "Expires": {expires}}
		after := refreshAfter(5*time.Minute, freshFor(h, time.Unix(1_795_262_400, 0)))
		if after < minRefresh || after > 5*time.Minute {
			t.Fatalf("refresh after %s", after)
		}
	})
}
