package authn

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file take JSON apart that jsontext found valid: well
// formed, every name unique in its object, UTF-8 throughout. They judge
// nothing themselves. That way each payload is validated once, by a decoder
// that is not ours, and its strings are cut out of one copy instead of being
// copied one by one. On other bytes they return nonsense, but they end.

// validJSON reports whether data is one JSON text (RFC 7493) without anything
// behind it.
func validJSON(data []byte) bool { return jsontext.Value(data).IsValid() }

// cursor goes through the elements of an array or the members of an object.
type cursor struct {
	text string
	at   int
}

// inside returns a cursor before the first element of an array or object.
func inside(text string) cursor { return cursor{text: text, at: 1} }

// element returns the next value, or false at the end.
func (c *cursor) element() (string, bool) {
	for c.at < len(c.text) && between(c.text[c.at]) {
		c.at++
	}
	if c.at >= len(c.text) || c.text[c.at] == ']' || c.text[c.at] == '}' {
		return "", false
	}
	start := c.at
	c.at = valueEnd(c.text, start)
	return c.text[start:c.at], true
}

// member returns the next name, quoted as it is written, and its value.
func (c *cursor) member() (name, value string, ok bool) {
	if name, ok = c.element(); !ok {
		return "", "", false
	}
	value, ok = c.element()
	return name, value, ok
}

// between reports whether b may stand between two values.
func between(b byte) bool {
	return b == ',' || b == ':' || b == ' ' || b == '\n' || b == '\t' || b == '\r'
}

// valueEnd returns the index behind the value that starts at i.
func valueEnd(text string, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		return compositeEnd(text, i)
	default:
		for i++; i < len(text) && !between(text[i]) && text[i] != ']' && text[i] != '}'; i++ {
		}
		return i
	}
}

func stringEnd(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}

func compositeEnd(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// trimJSON cuts the white space around a JSON text.
func trimJSON(text string) string { return strings.Trim(text, " \n\t\r") }

var errNotString = errors.New("must be a string")

// unquote returns what a JSON string says. Without escapes it is a part of
// quoted itself, which the result keeps alive.
func unquote(quoted string) (string, error) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", errNotString
	}
	if inner := quoted[1 : len(quoted)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	return string(b), err
}
