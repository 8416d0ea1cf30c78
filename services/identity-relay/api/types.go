// Package api is what other programs know of identity-relay: the wire types and
// an HTTP client for its operator's routes.
package api

import (
	"encoding/json"
	"time"
)

// Scope is what an operator's token must hold.
const Scope = "identity-relay:operate"

// Audience of tokens for the relay.
const Audience = "identity-relay"

// Erasure is one erasure. The user is named by a keyed hash alone.
type Erasure struct {
	ID     string `json:"id"`
	State  string `json:"state"` // held, grace, requested, complete, withdrawn
	Late   bool   `json:"late"`
	Source string `json:"source"`
	// UserHash is base64url of HMAC-SHA256 under the key HashKeyID.
	UserHash    string     `json:"user_hash"`
	HashKeyID   string     `json:"hash_key_id"`
	OpenedAt    time.Time  `json:"opened_at"`
	GraceUntil  time.Time  `json:"grace_until"`
	RequestedAt *time.Time `json:"requested_at,omitempty"`
	DueAt       *time.Time `json:"due_at,omitempty"`
	CompletedAt *time.Time `json:"completed_at,omitempty"`
	// WaitingFor names the participants that have not answered.
	WaitingFor []string `json:"waiting_for"`
	// Round is how often participants were asked; ReopenedAt is when the last
	// round began, if it is not the first.
	Round      int        `json:"round"`
	ReopenedAt *time.Time `json:"reopened_at,omitempty"`
	// OverLimit and LegalHold say why it is held: too many of its source within
	// an hour, or a legal hold with this reason.
	OverLimit    bool       `json:"over_limit,omitzero"`
	LegalHold    string     `json:"legal_hold,omitempty"`
	WithdrawnAt  *time.Time `json:"withdrawn_at,omitempty"`
	ReadmittedAt *time.Time `json:"readmitted_at,omitempty"`
	// Edition of the certificate; 0: none was issued yet.
	Edition int `json:"edition"`
}

// ErasureDetail is an erasure with its answers, and its certificate once complete.
type ErasureDetail struct {
	Erasure
	Answers []Answer `json:"answers"`
	// RetentionEnded are answers that nobody asked for: rows that had been kept.
	RetentionEnded []Answer   `json:"retention_ended"`
	Decisions      []Decision `json:"decisions"`
	// Certificate is a Certificate in JSON.
	Certificate json.RawMessage `json:"certificate,omitempty"`
}

// Answer is one participant's receipt, or its absence.
type Answer struct {
	Participant string          `json:"participant"`
	Round       int             `json:"round,omitzero"`
	AnsweredAt  *time.Time      `json:"answered_at,omitempty"`
	Receipt     json.RawMessage `json:"receipt,omitempty"`
}

// Erasures is a page. Next is the After of the following one.
type Erasures struct {
	Erasures []Erasure `json:"erasures"`
	Next     string    `json:"next,omitempty"`
}

// ErasureFilter selects erasures; zero values select all.
type ErasureFilter struct {
	State string
	Late  bool
	// User selects those of one user ID.
	User  string
	After string
	Limit int
}

// HoldRequest places a legal hold on the user of an erasure.
type HoldRequest struct {
	// Reason outlives the erasure: a file number, nothing that names the user.
	Reason string `json:"reason"`
}

// ReadmitRequest lets the user of an erasure come back.
type ReadmitRequest struct {
	// UserID must be the erasure's, which the relay knows by its hash alone.
	UserID string `json:"user_id"`
	Reason string `json:"reason"`
}

// HoldUserRequest places a legal hold on a user.
type HoldUserRequest struct {
	UserID string `json:"user_id"`
	Reason string `json:"reason"`
}

// LegalHold keeps a user's data from being erased.
type LegalHold struct {
	ID        string    `json:"id"`
	UserHash  string    `json:"user_hash"`
	HashKeyID string    `json:"hash_key_id"`
	Reason    string    `json:"reason"`
	PlacedAt  time.Time `json:"placed_at"`
	PlacedBy  string    `json:"placed_by"`
}

// LiftedHold is a legal hold that was taken away.
type LiftedHold struct {
	ID       string    `json:"id"`
	LiftedAt time.Time `json:"lifted_at"`
}

// LegalHolds is a page, oldest first. Next is the after of the following one.
type LegalHolds struct {
	LegalHolds []LegalHold `json:"legal_holds"`
	Next       string      `json:"next,omitempty"`
}

// Kinds of revocations.
const (
	KindUser    = "user"    // the user's tokens issued until now
	KindSession = "session" // a session's tokens
	KindToken   = "token"   // one token and its descendants
	KindClient  = "client"  // a client's tokens issued until now
	KindBlock   = "block"   // the user, until lifted
)

// RevokeRequest revokes one thing.
type RevokeRequest struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Revocation is what was stored.
type Revocation struct {
	Kind      string    `json:"kind"`
	RevokedAt time.Time `json:"revoked_at"`
	// Changed is false if it was revoked before.
	Changed bool `json:"changed"`
}

// Lifted is a revocation that was taken away.
type Lifted struct {
	Kind     string    `json:"kind"`
	LiftedAt time.Time `json:"lifted_at"`
}

// Rebuild is the answer to a rebuild of the revocations' projection.
type Rebuild struct {
	Rows int64 `json:"rows"`
}

// ReconcileRequest asks for a pass.
type ReconcileRequest struct {
	// AcceptShrink believes a list of users that is suspiciously short.
	AcceptShrink bool `json:"accept_shrink,omitempty"`
}

// Reconciliation is the result of a pass, or its state so far.
type Reconciliation struct {
	ID           string                      `json:"id"`
	State        string                      `json:"state"` // running, finished, failed
	StartedAt    time.Time                   `json:"started_at"`
	FinishedAt   *time.Time                  `json:"finished_at,omitempty"`
	Participants []ReconciliationParticipant `json:"participants"`
	Held         int                         `json:"held"`
	Listed       int                         `json:"listed"`
	Missing      int                         `json:"missing"`
	UnderErasure int                         `json:"under_erasure"`
	Erased       int                         `json:"erased"`
	Reopened     int                         `json:"reopened"`
	Postponed    int                         `json:"postponed"`
	Rescued      int                         `json:"rescued"`
	Known        int                         `json:"known"`
	Waiting      int                         `json:"waiting"`
	Deleted      int                         `json:"deleted"`
	Banned       int                         `json:"banned"`
	Unbanned     int                         `json:"unbanned"`
	Unanswered   int                         `json:"unanswered"`
	Problem      string                      `json:"problem,omitempty"`
}

// ReconciliationParticipant is what one participant told.
type ReconciliationParticipant struct {
	Name    string `json:"name"`
	UserIDs int    `json:"user_ids"`
	Problem string `json:"problem,omitempty"`
}

// Event is one event of the relay's log.
type Event struct {
	Version    int64           `json:"version"`
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Type       string          `json:"type"`
	UserID     string          `json:"user_id,omitempty"`
	SessionID  string          `json:"session_id,omitempty"`
	ErasureID  string          `json:"erasure_id,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	OccurredAt time.Time       `json:"occurred_at"`
	RecordedAt time.Time       `json:"recorded_at"`
	Published  bool            `json:"published"`
}

// Events is a page, oldest first. Next is the After of the following one.
type Events struct {
	Events []Event `json:"events"`
	Next   int64   `json:"next,omitempty"`
}

// EventFilter selects events; zero values select all.
type EventFilter struct {
	// After is a version.
	After int64
	// Since is when an event was recorded, at the earliest.
	Since time.Time
	Type  string
	Limit int
}

// ReplayRequest asks for events to be published again, a batch at a time. Since,
// After or ID is required.
type ReplayRequest struct {
	After int64      `json:"after,omitempty"`
	Since *time.Time `json:"since,omitempty"`
	Type  string     `json:"type,omitempty"`
	// ID selects one event alone.
	ID    string `json:"id,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// Replay is one batch. Next is the After of the following one.
type Replay struct {
	Replayed int `json:"replayed"`
	// Erased events are not told again: their users were erased.
	Erased int   `json:"erased"`
	Next   int64 `json:"next,omitempty"`
}

// Sources are those that delivered something or were refused.
type Sources struct {
	Sources []Source `json:"sources"`
}

// Source of facts.
type Source struct {
	Name string `json:"name"`
	// Deliveries by outcome, of those that are still remembered.
	Deliveries map[string]int64 `json:"deliveries"`
	Refusals   []Refusal        `json:"refusals"`
}

// Refusal counts one reason.
type Refusal struct {
	Reason string    `json:"reason"`
	Count  int64     `json:"count"`
	LastAt time.Time `json:"last_at"`
}
