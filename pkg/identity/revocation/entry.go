package revocation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

const (
	// DefaultBucket is the bucket that carries revocations.
	DefaultBucket = "REVOCATIONS"
	// HeartbeatPrefix starts the keys of heartbeats.
	HeartbeatPrefix = "heartbeat."
)

var errEntry = errors.New("not a revocation")

var kinds = func() map[string]authn.RevocationKind {
	byName := map[string]authn.RevocationKind{}
	for _, kind := range []authn.RevocationKind{
		authn.RevokedToken, authn.RevokedSession, authn.RevokedUser, authn.RevokedClient, authn.BlockedUser,
	} {
		byName[kind.String()] = kind
	}
	return byName
}()

// value is what the bucket holds under a key. T is in Unix seconds, rounded up.
type value struct {
	T      int64 `json:"t"`
	Lifted bool  `json:"lifted"`
}

// Key returns the bucket key of a revocation: <kind>.<base64url of the hash>.
// Neither the key nor the value holds an ID.
func Key(kind authn.RevocationKind, key authn.RevocationKey) string {
	return kind.String() + "." + base64.RawURLEncoding.EncodeToString(key[:])
}

func valueOf(r authn.Revocation) value {
	at := r.Before
	if at.IsZero() {
		at = time.Now()
	}
	seconds := at.Unix()
	if at.Nanosecond() > 0 {
		seconds++
	}
	return value{T: seconds, Lifted: r.Lifted}
}

// decode reads an entry of the bucket; it expires with the bucket's TTL, if any.
func decode(key string, raw []byte, created time.Time, ttl time.Duration) (authn.Revocation, error) {
	name, encoded, _ := strings.Cut(key, ".")
	kind, known := kinds[name]
	hash, err := base64.RawURLEncoding.DecodeString(encoded)
	if !known || err != nil || len(hash) != len(authn.RevocationKey{}) {
		return authn.Revocation{}, fmt.Errorf("%w: key", errEntry)
	}
	var v value
	if err := json.Unmarshal(raw, &v); err != nil || v.T <= 0 {
		return authn.Revocation{}, fmt.Errorf("%w: value", errEntry)
	}
	r := authn.Revocation{Kind: kind, Key: authn.RevocationKey(hash), Before: time.Unix(v.T, 0), Lifted: v.Lifted}
	if ttl > 0 {
		r.Expires = created.Add(ttl)
	}
	return r, nil
}
