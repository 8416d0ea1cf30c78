package api

import (
	"encoding/json"
	"time"
)

// Certificate says that an erasure is complete, and what is still kept. It
// identifies the user by a keyed hash: whoever knows the ID and holds the key
// can tell whom it is about, nobody else can. Whatever becomes known later makes
// another edition.
type Certificate struct {
	Version     int       `json:"version"`
	Edition     int       `json:"edition"`
	IssuedAt    time.Time `json:"issued_at"`
	ErasureID   string    `json:"erasure_id"`
	User        KeyedHash `json:"user"`
	Source      string    `json:"source"`
	OpenedAt    time.Time `json:"opened_at"`
	RequestedAt time.Time `json:"requested_at"`
	CompletedAt time.Time `json:"completed_at"`
	// Rounds is how often participants were asked: a backup that was restored, or
	// a participant that came later, begins another.
	Rounds   int             `json:"rounds"`
	Receipts []QuotedReceipt `json:"receipts"`
	// RetentionEnded are receipts for rows that had been kept for a time.
	RetentionEnded []QuotedReceipt `json:"retention_ended"`
	Decisions      []Decision      `json:"decisions"`
	// ReadmittedAt is when the user was allowed to come back.
	ReadmittedAt *time.Time      `json:"readmitted_at,omitempty"`
	Stream       StreamStatement `json:"stream"`
	Revocation   string          `json:"revocation"`
}

// KeyedHash of a user ID.
type KeyedHash struct {
	Algorithm string `json:"algorithm"`
	KeyID     string `json:"key_id"`
	Hash      string `json:"hash"` // base64url
}

// QuotedReceipt is a participant's answer, word for word.
type QuotedReceipt struct {
	Participant string `json:"participant"`
	// Round is 0 where nobody had asked.
	Round      int             `json:"round,omitzero"`
	AnsweredAt time.Time       `json:"answered_at"`
	Receipt    json.RawMessage `json:"receipt"`
}

// StreamStatement says what became of the user's messages.
type StreamStatement struct {
	Name            string `json:"name"`
	MessagesDeleted int64  `json:"messages_deleted"`
	MaxAgeSeconds   int64  `json:"max_age_seconds"`
	Statement       string `json:"statement"`
}

// Decision is what somebody decided about an erasure.
type Decision struct {
	Decision string `json:"decision"` // held, released, withdrawn, asked_again, reopened, readmitted
	// By is an operator's client, or the relay.
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}
