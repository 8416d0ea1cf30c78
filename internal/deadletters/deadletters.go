// Package deadletters reads the messages that consumers gave up, with the cause,
// and hands them to their consumers again. NATS has no queue for them: the
// stream DEAD_LETTERS keeps its advisories, which point to the messages.
package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/streams"
)

// deleted are the server's words for a message that its stream lost before the
// consumer was done with it (nats-server 2.15, server/consumer.go).
var deleted = []string{"Unacknowledged message was deleted", "Message deleted by stream limits"}

const terminated = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."

// Letter is one message that one consumer gave up.
type Letter struct {
	// Number is its place in DEAD_LETTERS and its name.
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	// Stream and Sequence are where the message is, Consumer who gave it up.
	Stream     string `json:"stream"`
	Sequence   uint64 `json:"sequence"`
	Consumer   string `json:"consumer"`
	Deliveries uint64 `json:"deliveries"`
	Cause      string `json:"cause"`
	// Deleted says that nobody gave the message up: it was deleted first, because
	// its user was erased or it was too old. There is nothing to redrive.
	Deleted bool `json:"deleted,omitempty"`
}

// Message is what a letter points to.
type Message struct {
	// ID is what inboxes know it by.
	ID      string            `json:"id"`
	Subject string            `json:"subject"`
	Header  map[string]string `json:"header,omitempty"`
	At      time.Time         `json:"at"`
	// Payload may hold a user ID, and need not be JSON: that may be why it died.
	Payload []byte `json:"-"`
}

// Errors of this package.
var (
	ErrNotFound = errors.New("there is no such dead letter")
	ErrGone     = errors.New("the message is no longer in its stream")
	// ErrTooEarly: the stream still remembers the message's ID and drops it.
	ErrTooEarly = errors.New("the stream still remembers this message and would drop it; try again in a few minutes")
)

// List returns up to limit letters with numbers above after, oldest first.
func List(ctx context.Context, js jetstream.JetStream, after uint64, limit int) ([]Letter, error) {
	stream, err := js.Stream(ctx, streams.DeadLetters)
	if err != nil {
		return nil, fmt.Errorf("open the dead letters: %w", err)
	}
	letters := []Letter{}
	for len(letters) < limit {
		raw, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		letter, err := read(raw)
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
		after = raw.Sequence
	}
	return letters, nil
}

// Get returns one letter, or ErrNotFound.
func Get(ctx context.Context, js jetstream.JetStream, number uint64) (Letter, error) {
	stream, err := js.Stream(ctx, streams.DeadLetters)
	if err != nil {
		return Letter{}, fmt.Errorf("open the dead letters: %w", err)
	}
	raw, err := stream.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Letter{}, ErrNotFound
	}
	if err != nil {
		return Letter{}, fmt.Errorf("read a dead letter: %w", err)
	}
	return read(raw)
}

func read(raw *jetstream.RawStreamMsg) (Letter, error) {
	var advisory struct {
		Timestamp  time.Time `json:"timestamp"`
		Stream     string    `json:"stream"`
		Consumer   string    `json:"consumer"`
		Sequence   uint64    `json:"stream_seq"`
		Deliveries uint64    `json:"deliveries"`
		Reason     string    `json:"reason"`
	}
	if err := json.Unmarshal(raw.Data, &advisory); err != nil {
		return Letter{}, fmt.Errorf("dead letter %d is not an advisory: %w", raw.Sequence, err)
	}
	cause, gone := advisory.Reason, slices.Contains(deleted, advisory.Reason)
	switch {
	case gone && advisory.Stream == streams.Identity:
		cause = "deleted before it was acknowledged: its user was erased or has another ID, or it was too old"
	case gone:
		cause = "deleted before it was acknowledged: it was too old"
	case cause != "":
	case strings.HasPrefix(raw.Subject, terminated):
		cause = "terminated without a cause"
	default:
		cause = "delivered as often as its consumer allows, without success"
	}
	return Letter{
		Number: raw.Sequence, At: advisory.Timestamp.UTC(), Stream: advisory.Stream, Sequence: advisory.Sequence,
		Consumer: advisory.Consumer, Deliveries: advisory.Deliveries, Cause: cause, Deleted: gone,
	}, nil
}

// Message reads what the letter points to. It returns ErrGone once the message
// has aged out or was deleted.
func (l Letter) Message(ctx context.Context, js jetstream.JetStream) (Message, error) {
	stream, err := js.Stream(ctx, l.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Message{}, ErrGone
	}
	if err != nil {
		return Message{}, fmt.Errorf("open stream %s: %w", l.Stream, err)
	}
	raw, err := stream.GetMsg(ctx, l.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, ErrGone
	}
	if err != nil {
		return Message{}, fmt.Errorf("read message %d of %s: %w", l.Sequence, l.Stream, err)
	}
	m := Message{ID: raw.Header.Get(jetstream.MsgIDHeader), Subject: raw.Subject, Header: map[string]string{}, At: raw.Time.UTC(), Payload: raw.Data}
	if m.ID == "" {
		// What consumers call a message that was published without an ID.
		m.ID = fmt.Sprintf("%s:%d", l.Stream, l.Sequence)
	}
	for name := range raw.Header {
		// The server's own, such as what it expected of the stream then, are not repeated.
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			m.Header[name] = raw.Header.Get(name)
		}
	}
	return m, nil
}

func (m Message) outgoing() *nats.Msg {
	out := &nats.Msg{Subject: m.Subject, Data: m.Payload, Header: nats.Header{}}
	for name, value := range m.Header {
		out.Header.Set(name, value)
	}
	out.Header.Set(jetstream.MsgIDHeader, m.ID)
	return out
}
