package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	maxIDBytes     = 255
	maxSourceBytes = 1024
	contentType    = "application/json"
)

// typePattern allows lower-case words joined by dots, because the type becomes
// tokens of a NATS subject.
var typePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63}){0,4}$`)

// wireEvent is the CloudEvents 1.0 envelope. `subject` is absent on purpose.
type wireEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// Validate returns an error that wraps [ErrInvalidEvent] and names the first
// field that breaks the contract. It never quotes a value.
func (e Event) Validate() error {
	switch {
	case !plainText(e.ID, maxIDBytes):
		return invalid("id")
	case !plainText(e.Source, maxSourceBytes):
		return invalid("source")
	case !typePattern.MatchString(e.Type):
		return invalid("type")
	case e.Time.IsZero() || e.Time.Year() < 1970 || e.Time.Year() > 9999:
		return invalid("time")
	case e.Version > math.MaxInt64: // consumers keep it in a bigint
		return invalid("data.version")
	case e.UserID != "" && CheckUserID(e.UserID) != nil:
		return invalid("data.user_id")
	case e.UserID == "" && (e.Type != TypeSessionEnded || e.SessionID == ""):
		return invalid("data.user_id")
	case e.SessionID != "" && !plainText(e.SessionID, maxIDBytes):
		return invalid("data.session_id")
	case e.SessionID == "" && e.Type == TypeSessionEnded:
		return invalid("data.session_id")
	case e.ErasureID != "" && !plainText(e.ErasureID, maxIDBytes):
		return invalid("data.erasure_id")
	case e.ErasureID == "" && slices.Contains([]string{TypeErasureRequested, TypeErasureReadmitted, TypeErasureHeld, TypeErasureReleased}, e.Type):
		return invalid("data.erasure_id")
	}
	return nil
}

// Encode returns e as CloudEvents JSON. It returns an error that wraps
// [ErrInvalidEvent] if e breaks the contract, if e.Data is not a JSON object or
// repeats a member that the event carries itself, or if the result is larger
// than [MaxEventBytes].
func Encode(e Event) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	data := map[string]json.RawMessage{}
	if len(e.Data) > 0 {
		members, err := objectMembers(e.Data)
		if err != nil {
			return nil, invalid("data")
		}
		data = members
	}
	for name, value := range map[string]any{
		"user_id": e.UserID, "session_id": e.SessionID, "erasure_id": e.ErasureID, "version": e.Version,
	} {
		if _, taken := data[name]; taken {
			return nil, invalid("data." + name)
		}
		if value == "" {
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode data.%s: %w", name, err)
		}
		data[name] = raw
	}
	rawData, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode event data: %w", err)
	}
	out, err := json.Marshal(wireEvent{
		SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.Type,
		Time: e.Time.UTC().Format(time.RFC3339Nano), DataContentType: contentType, Data: rawData,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	if len(out) > MaxEventBytes {
		return nil, invalid("size")
	}
	return out, nil
}

// Decode reads an event from CloudEvents JSON. It is strict about what it
// understands (size, encoding, exact member names, no duplicates, required
// members) and tolerant about what it does not: unknown attributes are ignored,
// unknown data members land in Data, an unknown type is returned as it is. So a
// consumer of today survives the events of tomorrow. Every refusal wraps
// [ErrInvalidEvent].
func Decode(raw []byte) (Event, error) {
	if len(raw) > MaxEventBytes {
		return Event{}, invalid("size")
	}
	// encoding/json replaces what is not UTF-8, and two different user IDs must
	// never become one.
	if !utf8.Valid(raw) || loneSurrogate(raw) {
		return Event{}, invalid("encoding")
	}
	envelope, err := objectMembers(raw)
	if err != nil {
		return Event{}, invalid("JSON")
	}
	var e Event
	var specVersion, when string
	media := contentType
	for _, f := range []struct {
		name     string
		target   *string
		optional bool
	}{
		{"specversion", &specVersion, false}, {"id", &e.ID, false}, {"source", &e.Source, false},
		{"type", &e.Type, false}, {"time", &when, false}, {"datacontenttype", &media, true},
	} {
		if err := readString(envelope, f.name, f.target, f.optional); err != nil {
			return Event{}, err
		}
	}
	if specVersion != "1.0" {
		return Event{}, invalid("specversion")
	}
	if media != contentType {
		return Event{}, invalid("datacontenttype")
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, when); err != nil {
		return Event{}, invalid("time")
	}
	e.Time = e.Time.UTC()
	if err := decodeData(&e, envelope["data"]); err != nil {
		return Event{}, err
	}
	if err := e.Validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

func decodeData(e *Event, raw json.RawMessage) error {
	data, err := objectMembers(raw)
	if err != nil {
		return invalid("data")
	}
	for name, target := range map[string]*string{
		"user_id": &e.UserID, "session_id": &e.SessionID, "erasure_id": &e.ErasureID,
	} {
		if err := readString(data, name, target, true); err != nil {
			return invalid("data." + name)
		}
		delete(data, name)
	}
	version, ok := data["version"]
	// Unmarshal leaves the target alone for null, which must not pass as version 0.
	if !ok || string(version) == "null" || json.Unmarshal(version, &e.Version) != nil {
		return invalid("data.version")
	}
	delete(data, "version")
	if len(data) == 0 {
		return nil
	}
	if e.Data, err = json.Marshal(data); err != nil {
		return invalid("data")
	}
	return nil
}

func readString(from map[string]json.RawMessage, name string, target *string, optional bool) error {
	raw, ok := from[name]
	if !ok && optional {
		return nil
	}
	if !ok || len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, target) != nil {
		return invalid(name)
	}
	return nil
}

// objectMembers reads one JSON object with exact member names and refuses
// duplicates: encoding/json takes the last of two, and matches names without
// regard to case when it fills a struct.
func objectMembers(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, ErrInvalidEvent
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, ErrInvalidEvent
		}
		name, ok := tok.(string)
		if !ok {
			return nil, ErrInvalidEvent
		}
		if _, twice := members[name]; twice {
			return nil, ErrInvalidEvent
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, ErrInvalidEvent
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, ErrInvalidEvent
	}
	if dec.InputOffset() != int64(len(bytes.TrimRight(raw, " \t\r\n"))) {
		return nil, ErrInvalidEvent
	}
	return members, nil
}

func invalid(field string) error { return fmt.Errorf("%w: %s", ErrInvalidEvent, field) }
