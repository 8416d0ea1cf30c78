package signing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// KeySet is the JWKS document, its entity tag, and how long others may keep it.
type KeySet struct {
	Document []byte
	ETag     string
	MaxAge   time.Duration
}

// view is the key set as it is published from a moment on.
type view struct {
	KeySet
	from  time.Time
	alert time.Time // until then others may keep it for AlertMaxAge at most
}

// keySetAt is the last view whose time has come. Nobody may keep it beyond the
// next one: the keys that are missing there may be known to others.
func keySetAt(list []view, now time.Time) KeySet {
	v, until := list[0], MaxAge
	for _, later := range list[1:] {
		if later.from.After(now) {
			until = later.from.Sub(now)
			break
		}
		v = later
	}
	v.MaxAge = min(until, MaxAge)
	if now.Before(v.alert) {
		v.MaxAge = min(v.MaxAge, AlertMaxAge)
	}
	return v.KeySet
}

// views makes the key set for now and for each moment at which a key retires, so
// that every replica changes what it publishes at the same time.
func views(keys []*Key) ([]view, error) {
	moments := []time.Time{{}}
	for _, k := range keys {
		if !k.RetiresAt.IsZero() {
			moments = append(moments, k.RetiresAt)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	var alert time.Time
	for _, k := range keys {
		if end := k.ActivatesAt.Add(AlertFor); k.emergency() && end.After(alert) {
			alert = end
		}
	}
	var list []view
	for _, from := range slices.CompactFunc(moments, time.Time.Equal) {
		set := struct {
			Keys []JWK `json:"keys"`
		}{Keys: []JWK{}}
		for _, k := range keys {
			if !k.retired(from) {
				set.Keys = append(set.Keys, k.Public)
			}
		}
		raw, err := json.Marshal(set)
		if err != nil {
			return nil, fmt.Errorf("encode the key set: %w", err)
		}
		sum := sha256.Sum256(raw)
		list = append(list, view{
			KeySet: KeySet{Document: raw, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`},
			from:   from, alert: alert,
		})
	}
	return list, nil
}
