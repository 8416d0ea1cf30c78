// Package webhooks keeps a queue of deliveries in the database and sends them
// with the headers, signature and retries of the original.
package webhooks

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
)

// Types of events.
const (
	UserCreated        = "user.created"
	UserUpdated        = "user.updated"
	UserDeleted        = "user.deleted"
	UserVerified       = "user.verified"
	SessionCreated     = "session.created"
	SessionDeleted     = "session.deleted"
	AccountLinked      = "account.linked"
	GrantCreated       = "grant.created"
	GrantRevoked       = "grant.revoked"
	GroupMemberAdded   = "group.member.added"
	GroupMemberRemoved = "group.member.removed"
)

// Event is a fact to be told.
type Event struct {
	Type string
	// UserID is whom a user.*, session.* or account.* event is about.
	UserID string
	Data   any
}

// Personal events are about one user; in observed mode they reach only an
// endpoint that this user owns.
func (e Event) personal() bool {
	return strings.HasPrefix(e.Type, "user.") || strings.HasPrefix(e.Type, "session.") || strings.HasPrefix(e.Type, "account.")
}

// neverSent are the promised types that the real server was never seen to send.
func (e Event) neverSent(m mode.Mode) bool {
	return m.Observed() && (e.Type == UserDeleted || e.Type == UserVerified || e.Type == SessionDeleted)
}

// origin tells which part of the server an event comes from.
func (e Event) origin() string {
	if e.personal() {
		return "better-auth"
	}
	return "auther"
}

func newEventID() string { return "evt_" + random.Hex(16) }

// envelope is the body, in this order.
type envelope struct {
	ID        string          `json:"id"`
	Origin    string          `json:"origin"`
	Type      string          `json:"type"`
	Timestamp int64           `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// encode makes the body and its content type.
func (e envelope) encode(format string) (body []byte, contentType string, err error) {
	if format == "form" {
		form := fmt.Sprintf("id=%s&origin=%s&type=%s&timestamp=%d&data=%s",
			url.QueryEscape(e.ID), url.QueryEscape(e.Origin), url.QueryEscape(e.Type), e.Timestamp, url.QueryEscape(string(e.Data)))
		return []byte(form), "application/x-www-form-urlencoded", nil
	}
	body, err = plainJSON(e)
	return body, "application/json", err
}

// plainJSON leaves HTML characters alone, as JavaScript does.
func plainJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode a webhook: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// wholeSecond is the timestamp of an event: milliseconds that are always a
// whole second.
func wholeSecond(t time.Time) int64 { return t.Unix() * 1000 }

// Sign is the lower-case hex HMAC-SHA256 of "<timestamp>.<body>".
func Sign(secret string, timestampMS int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strconv.FormatInt(timestampMS, 10) + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
