package users

import (
	"encoding/json"
	"errors"
	"mime"
	"net/url"
	"strconv"
)

// Types of deliveries that concern the table; every other one is ignored.
const (
	typeCreated  = "user.created"
	typeUpdated  = "user.updated"
	typeVerified = "user.verified"
	typeDeleted  = "user.deleted"
)

// delivery is a body, in either encoding.
type delivery struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Timestamp int64           `json:"timestamp"` // Unix milliseconds
	Data      json.RawMessage `json:"data"`
}

func (d delivery) concernsUsers() bool {
	switch d.Type {
	case typeCreated, typeUpdated, typeVerified, typeDeleted:
		return true
	default:
		return false
	}
}

func parse(contentType string, raw []byte) (delivery, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return delivery{}, errors.New("no content type")
	}
	var d delivery
	switch media {
	case "application/json":
		err = json.Unmarshal(raw, &d)
	case "application/x-www-form-urlencoded":
		d, err = parseForm(string(raw))
	default:
		err = errors.New("neither JSON nor a form")
	}
	if err != nil || d.ID == "" || d.Type == "" {
		return delivery{}, errors.New("not the form of a delivery")
	}
	return d, nil
}

func parseForm(raw string) (delivery, error) {
	form, err := url.ParseQuery(raw)
	if err != nil {
		return delivery{}, err
	}
	timestamp, err := strconv.ParseInt(form.Get("timestamp"), 10, 64)
	return delivery{ID: form.Get("id"), Type: form.Get("type"), Timestamp: timestamp, Data: json.RawMessage(form.Get("data"))}, err
}
