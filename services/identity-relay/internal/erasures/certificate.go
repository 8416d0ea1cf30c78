package erasures

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

const (
	streamStatement = "The user's events were deleted from the stream. " +
		"Their bytes stay in its files, where no client reaches them, until the server compacts the file or all messages in it have reached " +
		"the stream's maximum age. A copy that a participant had not yet read ends with that age at the latest; a backup of the stream ends when its keeper deletes it."
	revocationStatement = "A hash of the user ID, cut to 16 bytes, stays on the list of blocked users, " +
		"so that no credential that is still alive is accepted."
	readmittedStatement = "The user was readmitted, and is on the list of blocked users no more."
)

// certify makes the next edition.
func certify(d Detail, s Settings, at time.Time) (json.RawMessage, error) {
	c := api.Certificate{
		Version: 2, Edition: d.Edition + 1, IssuedAt: at, ErasureID: d.ID.String(), Source: d.Source, OpenedAt: d.OpenedAt.UTC(), Rounds: d.Round,
		User: api.KeyedHash{Algorithm: "HMAC-SHA256", KeyID: d.HashKeyID, Hash: base64.RawURLEncoding.EncodeToString(d.UserHash)},
		Stream: api.StreamStatement{
			Name: s.Stream, MessagesDeleted: d.deleted, MaxAgeSeconds: int64(s.StreamMaxAge / time.Second), Statement: streamStatement,
		},
		RetentionEnded: []api.QuotedReceipt{}, Decisions: []api.Decision{}, Revocation: revocationStatement,
	}
	if d.CompletedAt != nil {
		c.CompletedAt = d.CompletedAt.UTC()
	}
	if d.RequestedAt != nil {
		c.RequestedAt = d.RequestedAt.UTC()
	}
	if d.ReadmittedAt != nil {
		readmitted := d.ReadmittedAt.UTC()
		c.ReadmittedAt, c.Revocation = &readmitted, readmittedStatement
	}
	for _, a := range d.Answers {
		if a.AnsweredAt == nil {
			return nil, fmt.Errorf("certify erasure: %s has not answered", a.Participant)
		}
		c.Receipts = append(c.Receipts, quote(a))
	}
	for _, a := range d.Ended {
		c.RetentionEnded = append(c.RetentionEnded, quote(a))
	}
	for _, decision := range d.Decisions {
		c.Decisions = append(c.Decisions, api.Decision{
			Decision: decision.Decision, By: decision.By, Reason: decision.Reason, At: decision.At.UTC(),
		})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode certificate: %w", err)
	}
	return raw, nil
}

func quote(a Answer) api.QuotedReceipt {
	return api.QuotedReceipt{Participant: a.Participant, Round: a.Round, AnsweredAt: a.AnsweredAt.UTC(), Receipt: a.Receipt}
}
