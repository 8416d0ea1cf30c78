// Package event is the envelope of what orders and billing tell each other:
// CloudEvents 1.0 as JSON. The type is also the NATS subject. No event holds a
// user ID: an order's or invoice's own ID is enough for whoever owns its rows.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

const (
	specVersion = "1.0"
	contentType = "application/json"
)

// Event is one fact.
type Event[D any] struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            D         `json:"data"`
}

// Message makes the outbox message of a new event.
func Message[D any](source, eventType string, at time.Time, data D) (mailbox.Message, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return mailbox.Message{}, fmt.Errorf("make an event ID: %w", err)
	}
	raw, err := json.Marshal(Event[D]{
		SpecVersion: specVersion, ID: id.String(), Source: source, Type: eventType,
		Time: at.UTC(), DataContentType: contentType, Data: data,
	})
	if err != nil {
		return mailbox.Message{}, fmt.Errorf("encode %s: %w", eventType, err)
	}
	return mailbox.Message{ID: id.String(), Subject: eventType, Payload: raw}, nil
}

// Decode reads an event. Members it does not know are ignored, so that an event
// may grow; anything else that does not fit is poison.
func Decode[D any](m mailbox.Message) (Event[D], error) {
	var e Event[D]
	if err := json.Unmarshal(m.Payload, &e); err != nil {
		return e, mailbox.Poison(errors.New("event is not the JSON it should be"))
	}
	if e.SpecVersion != specVersion || e.ID == "" || e.Type != m.Subject {
		return e, mailbox.Poison(errors.New("event's specversion, id or type is not acceptable"))
	}
	return e, nil
}
