package authn

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func readString(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", errors.New("must be a string")
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err
}

// readID reads an identifier: 1 to 255 bytes without control characters.
func readID(v jsontext.Value) (string, error) {
	s, err := readString(v)
	if err == nil && !validUserID(s) {
		err = fmt.Errorf("must be 1 to %d bytes without control characters", maxIDBytes)
	}
	return s, err
}

// readDate reads a NumericDate (RFC 7519, section 2) in whole seconds, rounded
// down.
func readDate(v jsontext.Value) (int64, error) {
	if v.Kind() != '0' {
		return 0, errors.New("must be a number")
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f <= 0 || f > 1<<53 {
		return 0, errors.New("must be a time")
	}
	return int64(math.Floor(f)), nil
}

// readStrings reads an array of strings, or a string.
func readStrings(v jsontext.Value) ([]string, error) {
	if v.Kind() == '"' {
		s, err := readString(v)
		return []string{s}, err
	}
	return readArray(v)
}

func readArray(v jsontext.Value) ([]string, error) {
	if v.Kind() != '[' {
		return nil, errors.New("must be an array of strings")
	}
	var elements []jsontext.Value
	if err := json.Unmarshal(v, &elements); err != nil {
		return nil, err
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		s, err := readString(e)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list[i] = s
	}
	return list, nil
}

// readWords reads a space separated string (RFC 6749, section 3.3) or an array.
func readWords(v jsontext.Value) ([]string, error) {
	if v.Kind() == '"' {
		s, err := readString(v)
		return strings.Fields(s), err
	}
	return readArray(v)
}

// readGrants reads a permission map: key → names.
func readGrants(v jsontext.Value) (map[string][]string, error) {
	if v.Kind() != '{' {
		return nil, errors.New("must be an object")
	}
	var raw map[string]jsontext.Value
	if err := json.Unmarshal(v, &raw); err != nil {
		return nil, err
	}
	grants := make(map[string][]string, len(raw))
	for key, value := range raw {
		list, err := readArray(value)
		if err != nil {
			return nil, err
		}
		grants[key] = list
	}
	return grants, nil
}

func readActor(v jsontext.Value) (*Actor, error) {
	return readActorAt(v, 1)
}

func readActorAt(v jsontext.Value, depth int) (*Actor, error) {
	if depth > maxActors {
		return nil, fmt.Errorf("more than %d actors", maxActors)
	}
	if v.Kind() != '{' {
		return nil, errors.New("must be an object")
	}
	var raw struct {
		Sub      jsontext.Value `json:"sub"`
		ClientID jsontext.Value `json:"client_id"`
		Act      jsontext.Value `json:"act"`
	}
	if err := json.Unmarshal(v, &raw); err != nil {
		return nil, err
	}
	sub, err := readID(raw.Sub)
	if err != nil {
		return nil, fmt.Errorf("sub: %w", err)
	}
	a := &Actor{subject: sub}
	if len(raw.ClientID) > 0 {
		if a.clientID, err = readID(raw.ClientID); err != nil {
			return nil, fmt.Errorf("client_id: %w", err)
		}
	}
	if len(raw.Act) > 0 {
		if a.actor, err = readActorAt(raw.Act, depth+1); err != nil {
			return nil, fmt.Errorf("act: %w", err)
		}
	}
	return a, nil
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

func mergeGrants(into map[string][]string, from map[string][]string) map[string][]string {
	if len(from) == 0 {
		return into
	}
	merged := maps.Clone(into)
	if merged == nil {
		merged = make(map[string][]string, len(from))
	}
	for key, names := range from {
		list := slices.Clone(merged[key])
		for _, n := range names {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
		merged[key] = list
	}
	return merged
}
