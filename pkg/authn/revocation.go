package authn

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// RevocationKind says what a revocation kills.
type RevocationKind uint8

const (
	// RevokedToken: the token of this ID (Principal.TokenID), and its descendants.
	RevokedToken RevocationKind = iota + 1
	// RevokedSession: every token of one session (`sid`).
	RevokedSession
	// RevokedUser: the user's tokens that were originally issued at or before T.
	RevokedUser
	// RevokedClient: the client's tokens that were issued at or before T.
	RevokedClient
	// BlockedUser: every token of the user, until lifted.
	BlockedUser
)

// String returns "jti", "sid", "user", "client" or "block".
func (k RevocationKind) String() string {
	switch k {
	case RevokedToken:
		return "jti"
	case RevokedSession:
		return "sid"
	case RevokedUser:
		return "user"
	case RevokedClient:
		return "client"
	case BlockedUser:
		return "block"
	default:
		return "unknown"
	}
}

// RevocationKey is a hashed ID, so that neither the list nor its feed holds user IDs.
type RevocationKey [16]byte

// NewRevocationKey hashes an ID: SHA-256 over the kind's byte, a zero byte and
// the ID, cut to 16 bytes. The ID is Principal.UserID for users, ClientID for
// clients, TokenID for tokens, SessionID for sessions.
func NewRevocationKey(kind RevocationKind, id string) RevocationKey {
	var small [2 + maxIDBytes]byte // no ID of a Principal is longer
	buf := append(small[:0], byte(kind), 0)
	buf = append(buf, id...)
	sum := sha256.Sum256(buf)
	return RevocationKey(sum[:16])
}

// Revocation is one entry of the list.
type Revocation struct {
	// Kind says what Key is the hash of.
	Kind RevocationKind
	// Key is what NewRevocationKey makes of the ID.
	Key RevocationKey
	// Before is T for RevokedUser and RevokedClient. A fraction of a second is
	// rounded up; what was issued at or before T is dead.
	Before time.Time
	// Lifted takes the entry away again.
	Lifted bool
	// Expires is when the entry may be forgotten, because nothing it could
	// kill is alive any more. Zero keeps it until it is lifted.
	Expires time.Time
}

// DefaultMaxStaleness is the limit that Fresh applies when given none. It lies
// above a leader change of the feed (about 7 s).
const DefaultMaxStaleness = 15 * time.Second

// RevocationListOptions of NewRevocationList.
type RevocationListOptions struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// RevocationList holds in memory what is revoked. A feed fills it: Apply for
// each entry, MarkLoaded once it has seen all, Heartbeat as long as it hears
// from the source. It is safe for concurrent use.
type RevocationList struct {
	now       func() time.Time
	loaded    atomic.Bool
	heartbeat atomic.Int64 // Unix nanoseconds of the newest heartbeat, 0 for none

	entries revocationTable
	changes atomic.Uint64 // how often something was added to entries
	mu      sync.Mutex    // Apply
	swept   time.Time

	hooksMu sync.RWMutex
	hooks   []func(Revocation)
}

// revocationCheck is one look-up, hashed when the token is first verified.
type revocationCheck struct {
	key RevocationKey
	at  uint32 // dead if at ≤ the entry's before
}

// NewRevocationList returns an empty list that is not loaded.
func NewRevocationList(opts RevocationListOptions) *RevocationList {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &RevocationList{now: opts.Now}
	l.entries.init()
	return l
}
