// Package relay turns facts about users and sessions, whoever observed them,
// into identity events, revocations and erasures: all sources end in
// [Recorder.Record].
package relay

import (
	"errors"
	"time"

	"github.com/shadowless/shadowless/pkg/identity"
)

// Kind of a fact.
type Kind uint8

// Kinds.
const (
	// Ignored is something that was told and means nothing here; it is only
	// remembered, so that a retry is recognized.
	Ignored Kind = iota
	UserCreated
	UserUpdated
	UserDeleted
	UserBanned
	UserUnbanned
	SessionEnded
	AccessChanged
	// UserSignedOut: every session that the user had is over.
	UserSignedOut
)

// Sources of facts.
const (
	SourceAuther         = "auther"
	SourceReconciliation = "reconciliation"
	// SourceSecurityEvents is followed by a colon and the transmitter's issuer,
	// since IDs are unique within that only.
	SourceSecurityEvents = "security-events"
)

// Fact is what a source observed.
type Fact struct {
	Source string
	// DeliveryID makes the fact idempotent within its source. Empty for sources
	// that look instead of being told.
	DeliveryID string
	// Type is the source's own name for it.
	Type string
	Kind Kind
	// UserID is opaque; only SessionEnded may lack it.
	UserID string
	// SessionID is set for SessionEnded.
	SessionID  string
	OccurredAt time.Time
	// Access is set for AccessChanged.
	Access *AccessChange
	// Outdated, with UserUpdated, says that the user's tokens issued until
	// OccurredAt state what is no longer true; they end.
	Outdated bool
	// Reread asks the identity provider about the user: what the source said of
	// them cannot be put in order.
	Reread bool
	// Held says that a participant is known to hold the user's data now, so that
	// a deletion counts even if the user was erased before.
	Held bool
}

// Changes of access.
const (
	Granted          = "granted"
	Revoked          = "revoked"
	ConditionUpdated = "condition_updated"
)

// AccessChange is the thin data of access.changed: what was granted or revoked,
// and nothing about the user.
type AccessChange = identity.AccessChange

func validAccess(a *AccessChange) bool {
	return identity.CheckUserID(a.EntityType) == nil && identity.CheckUserID(a.Relation) == nil &&
		(a.EntityID == "" || identity.CheckUserID(a.EntityID) == nil)
}

// Outcome is what became of a fact.
type Outcome string

// Outcomes.
const (
	Recorded  Outcome = "recorded"  // it changed something and became an event
	Duplicate Outcome = "duplicate" // this very delivery came before
	Repeated  Outcome = "repeated"  // the same fact is known from another delivery or source
	Dropped   Outcome = "ignored"   // it means nothing here
	Erased    Outcome = "erased"    // its user was erased
)

// ErrInvalidFact is returned for a fact that breaks the contract of its kind.
var ErrInvalidFact = errors.New("invalid fact")
