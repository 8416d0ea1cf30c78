package auther

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Headers of a delivery.
const (
	headerID        = "X-Webhook-Id"
	headerTimestamp = "X-Webhook-Timestamp"
	headerOrigin    = "X-Webhook-Origin"
	headerSignature = "X-Webhook-Signature"
)

const (
	maxFieldBytes = 255
	// maxAhead is how far the IdP's clock may be ahead of ours.
	maxAhead = 5 * time.Minute
)

// delivery is a body, in either encoding.
type delivery struct {
	ID        string         `json:"id"`
	Origin    string         `json:"origin"`
	Type      string         `json:"type"`
	Timestamp int64          `json:"timestamp"` // Unix milliseconds
	Data      jsontext.Value `json:"data"`
}

func (d delivery) time() time.Time { return time.UnixMilli(d.Timestamp).UTC() }

// parse reads the body by its content type and compares it with the headers.
func parse(h http.Header, raw []byte) (delivery, error) {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return delivery{}, refuse(MediaType, err)
	}
	var d delivery
	switch media {
	case "application/json":
		// Refuses duplicate names and what is not UTF-8.
		if err := json.Unmarshal(raw, &d); err != nil {
			return d, refuse(Malformed, errors.New("not the JSON of a delivery"))
		}
	case "application/x-www-form-urlencoded":
		if d, err = parseForm(raw); err != nil {
			return d, refuse(Malformed, err)
		}
	default:
		return d, refuse(MediaType, nil)
	}
	for _, field := range []string{d.ID, d.Origin, d.Type} {
		if !token(field) {
			return d, refuse(Malformed, errors.New("id, origin and type must be 1 to 255 printable characters"))
		}
	}
	if d.Data.Kind() != '{' {
		return d, refuse(Malformed, errors.New("data is not an object"))
	}
	timestamp, err := parseTimestamp(h.Get(headerTimestamp))
	if err != nil || timestamp != d.Timestamp || h.Get(headerID) != d.ID || h.Get(headerOrigin) != d.Origin {
		return d, refuse(Mismatch, nil)
	}
	return d, nil
}

func parseForm(raw []byte) (delivery, error) {
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return delivery{}, errors.New("not form-encoded")
	}
	field := func(name string) string {
		if len(form[name]) != 1 {
			err = fmt.Errorf("field %s must occur once", name)
			return ""
		}
		return form[name][0]
	}
	d := delivery{ID: field("id"), Origin: field("origin"), Type: field("type"), Data: jsontext.Value(field("data"))}
	timestamp := field("timestamp")
	if err != nil {
		return d, err
	}
	if d.Timestamp, err = parseTimestamp(timestamp); err != nil {
		return d, err
	}
	if !d.Data.IsValid() {
		return d, errors.New("data is not JSON")
	}
	return d, nil
}

// parseTimestamp reads Unix milliseconds in plain digits.
func parseTimestamp(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("timestamp is not in Unix milliseconds")
	}
	return n, nil
}

// token reports whether s is short printable ASCII without spaces.
func token(s string) bool {
	if s == "" || len(s) > maxFieldBytes {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
