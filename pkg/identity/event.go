package identity

import (
	"encoding/json"
	"errors"
	"time"
)

// The event types of version 1. A consumer ignores a type that it does not know.
const (
	TypeUserCreated       = "user.created"
	TypeUserUpdated       = "user.updated"
	TypeUserDeleted       = "user.deleted"
	TypeUserBanned        = "user.banned"
	TypeUserUnbanned      = "user.unbanned"
	TypeSessionEnded      = "session.ended"
	TypeAccessChanged     = "access.changed"
	TypeUserSignedOut     = "user.signed_out"
	TypeErasureRequested  = "erasure.requested"
	TypeErasureReadmitted = "erasure.readmitted"
	TypeErasureHeld       = "erasure.held"
	TypeErasureReleased   = "erasure.released"
	TypeUserRekeyed       = "user.rekeyed"
)

// MaxEventBytes is the largest encoded event that [Decode] reads and [Encode]
// writes, in bytes. Events are thin: a usual one has about 300.
const MaxEventBytes = 64 << 10

// ErrInvalidEvent is returned by [Decode], [Encode] and [Event.Validate] for an
// event that breaks the contract. Redelivering such an event cannot help.
var ErrInvalidEvent = errors.New("invalid identity event")

// Event is one fact about a user or a session.
type Event struct {
	// ID is unique within Source. It is the deduplication key of publishers and inboxes.
	ID string
	// Source says who observed the fact, as a URI reference: the relay, or an issuer's URL.
	Source string
	// Type is one of the Type constants, or one that a later version added.
	Type string
	// Version is the relay's commit order: of two events about one user, the
	// one with the greater version is the later one. Delivery order says nothing.
	Version uint64
	// Time is when the fact was observed, UTC.
	Time time.Time
	// UserID is the opaque ID of the user. Only session.ended may leave it empty.
	UserID string
	// SessionID is set for session.ended.
	SessionID string
	// ErasureID is set for every erasure.* type.
	ErasureID string
	// Data holds the members of the wire's data object beyond the four above,
	// as a JSON object, or nil. It carries what later versions add.
	Data json.RawMessage
}
