package signing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// view is the key set as it is published from a moment on.
type view struct {
	from     time.Time
	document []byte
	etag     string
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
		list = append(list, view{from: from, document: raw, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`})
	}
	return list, nil
}
