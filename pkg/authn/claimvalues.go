package authn

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func readString(value string) (string, error) { return unquote(value) }

// readID reads an identifier: 1 to 255 bytes without control characters.
func readID(value string) (string, error) {
	s, err := readString(value)
	if err == nil && !validUserID(s) {
		err = fmt.Errorf("must be 1 to %d bytes without control characters", maxIDBytes)
	}
	return s, err
}

// readDate reads a NumericDate (RFC 7519, section 2) in whole seconds, rounded
// down.
func readDate(value string) (int64, error) {
	if value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return 0, errors.New("must be a number")
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f <= 0 || f > 1<<53 {
		return 0, errors.New("must be a time")
	}
	return int64(math.Floor(f)), nil
}

// readStrings reads an array of strings, or a string.
func readStrings(value string) ([]string, error) {
	if value[0] == '"' {
		s, err := readString(value)
		return []string{s}, err
	}
	return readArray(value)
}

var errNotArray = errors.New("must be an array of strings")

func readArray(value string) ([]string, error) {
	if value[0] != '[' {
		return nil, errNotArray
	}
	var buf [16]string // on the stack, so that the copy is the only allocation
	list, err := appendStrings(buf[:0], value)
	if err != nil {
		return nil, err
	}
	return append([]string{}, list...), nil
}

// appendStrings appends the elements of an array, all of which must be strings.
func appendStrings(list []string, array string) ([]string, error) {
	n := 0
	for c := inside(array); ; n++ {
		element, ok := c.element()
		if !ok {
			return list, nil
		}
		s, err := readString(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", n, err)
		}
		list = append(list, s)
	}
}

// readWords reads a space separated string (RFC 6749, section 3.3) or an array.
func readWords(value string) ([]string, error) {
	if value[0] == '"' {
		s, err := readString(value)
		return strings.Fields(s), err
	}
	return readArray(value)
}

func readActor(value string) (*Actor, error) { return readActorAt(value, 1) }

func readActorAt(value string, depth int) (*Actor, error) {
	if depth > maxActors {
		return nil, fmt.Errorf("more than %d actors", maxActors)
	}
	if value[0] != '{' {
		return nil, errors.New("must be an object")
	}
	a := &Actor{}
	for c := inside(value); ; {
		quoted, member, ok := c.member()
		if !ok {
			break
		}
		name, err := unquote(quoted)
		if err == nil {
			err = a.set(name, member, depth)
		}
		if err != nil {
			return nil, err
		}
	}
	if a.subject == "" {
		return nil, errors.New("sub: is missing")
	}
	return a, nil
}

func (a *Actor) set(name, value string, depth int) (err error) {
	switch name {
	case "sub":
		a.subject, err = readID(value)
	case "client_id":
		a.clientID, err = readID(value)
	case "act":
		a.actor, err = readActorAt(value, depth+1)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// validUserID holds an ID to the one rule there is for user IDs, and changes nothing in it.
func validUserID(id string) bool {
	if id == "" || len(id) > maxUserIDBytes || !utf8.ValidString(id) {
		return false
	}
	return !strings.ContainsFunc(id, unicode.IsControl)
}

// reservedPrefixes are the beginnings of service subjects. A user must not
// have one, or a log or a database column could not tell the two apart.
var reservedPrefixes = []string{"client:", "apikey:"}

func hasReservedPrefix(id string) bool {
	return slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(id, p) })
}
