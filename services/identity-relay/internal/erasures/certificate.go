package erasures

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Certificate says that an erasure is complete, and what is still kept. It
// identifies the user by a keyed hash: whoever knows the ID and holds the key
// can tell whom it is about, nobody else can.
type Certificate struct {
	Version     int             `json:"version"`
	ErasureID   uuid.UUID       `json:"erasure_id"`
	User        KeyedHash       `json:"user"`
	Source      string          `json:"source"`
	OpenedAt    time.Time       `json:"opened_at"`
	RequestedAt time.Time       `json:"requested_at"`
	CompletedAt time.Time       `json:"completed_at"`
	Receipts    []QuotedReceipt `json:"receipts"`
	Stream      StreamStatement `json:"stream"`
	Revocation  string          `json:"revocation"`
}

// KeyedHash of a user ID.
type KeyedHash struct {
	Algorithm string `json:"algorithm"`
	KeyID     string `json:"key_id"`
	Hash      string `json:"hash"` // base64url
}

// QuotedReceipt is a participant's answer, word for word.
type QuotedReceipt struct {
	Participant string          `json:"participant"`
	AnsweredAt  time.Time       `json:"answered_at"`
	Receipt     json.RawMessage `json:"receipt"`
}

// StreamStatement says what became of the user's messages.
type StreamStatement struct {
	Name            string `json:"name"`
	MessagesDeleted int64  `json:"messages_deleted"`
	MaxAgeSeconds   int64  `json:"max_age_seconds"`
	Statement       string `json:"statement"`
}

const (
	streamStatement = "The user's events were overwritten in the stream. " +
		"A copy that a participant had not yet read, or a backup of the stream, ends with the stream's maximum age at the latest."
	revocationStatement = "A hash of the user ID, cut to 16 bytes, stays on the list of blocked users, " +
		"so that no credential that is still alive is accepted."
)

func certify(e Erasure, answers []Answer, deleted int64, s Settings, at time.Time) (json.RawMessage, error) {
	c := Certificate{
		Version: 1, ErasureID: e.ID, Source: e.Source, OpenedAt: e.OpenedAt.UTC(), CompletedAt: at,
		User: KeyedHash{Algorithm: "HMAC-SHA256", KeyID: e.HashKeyID, Hash: base64.RawURLEncoding.EncodeToString(e.UserHash)},
		Stream: StreamStatement{
			Name: s.Stream, MessagesDeleted: deleted, MaxAgeSeconds: int64(s.StreamMaxAge / time.Second), Statement: streamStatement,
		},
		Revocation: revocationStatement,
	}
	if e.RequestedAt != nil {
		c.RequestedAt = e.RequestedAt.UTC()
	}
	for _, a := range answers {
		if a.AnsweredAt == nil {
			return nil, fmt.Errorf("certify erasure: %s has not answered", a.Participant)
		}
		c.Receipts = append(c.Receipts, QuotedReceipt{Participant: a.Participant, AnsweredAt: a.AnsweredAt.UTC(), Receipt: a.Receipt})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode certificate: %w", err)
	}
	return raw, nil
}
