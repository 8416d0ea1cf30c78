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

const (
	maxUserIDBytes = 255
	maxIDBytes     = 255 // jti, sid, client_id, tenant
	maxActors      = 8
	maxAncestors   = 3
	maxAudiences   = 64
)

// claims is a decoded payload. A pointer that is nil was not there, or null.
type claims struct {
	plan *claimPlan

	iss, sub          *string
	aud               []string
	exp, iat, nbf     *int64
	origIAT           *int64
	ancestors         []string
	actor             *Actor
	hasConfirmation   bool
	apiKeyID          *string
	marks             map[string]bool // service marks that matched
	required          map[string]bool // required claims that matched
	scopes, roles     []string
	jti, sid, tenant  ranked[string]
	clientID, kind    ranked[string]
	acr               ranked[string]
	authTime          ranked[int64]
	permissions, abac ranked[map[string][]string]
	fullAccess        ranked[[]string]
}

// ranked is a value that several claims may hold; the lowest rank counts.
type ranked[T any] struct {
	value T
	set   bool
	rank  int
}

func (r *ranked[T]) offer(v T, rank int) {
	if !r.set || rank < r.rank {
		*r = ranked[T]{value: v, set: true, rank: rank}
	}
}

// setter stores one claim's value; null never reaches it.
type setter func(c *claims, v jsontext.Value) error

// claimNode says what to do with the members of one object.
type claimNode struct {
	setters  []setter
	children map[string]*claimNode
}

// claimPlan is an issuer's claim names, compiled once.
type claimPlan struct {
	root *claimNode
}

// UnmarshalJSONFrom reads the claims in one pass. Duplicate names and invalid
// UTF-8 are refused at every depth by the decoder, in skipped values too.
func (c *claims) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return c.walk(dec, c.plan.root)
}

func (c *claims) walk(dec *jsontext.Decoder, node *claimNode) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '{' {
		return errors.New("not an object")
	}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		if err := c.member(dec, name, node.children[name]); err != nil {
			return fmt.Errorf("%s: %w", strconv.QuoteToASCII(truncate(name, 64)), err)
		}
	}
	_, err = dec.ReadToken()
	return err
}

func (c *claims) member(dec *jsontext.Decoder, _ string, node *claimNode) error {
	kind := dec.PeekKind()
	if node == nil || kind == 'n' {
		return dec.SkipValue()
	}
	if len(node.setters) == 0 {
		if kind != '{' {
			return dec.SkipValue()
		}
		return c.walk(dec, node)
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	for _, set := range node.setters {
		if err := set(c, value); err != nil {
			return err
		}
	}
	if node.children != nil && kind == '{' {
		return c.walk(jsontext.NewDecoder(strings.NewReader(string(value))), node)
	}
	return nil
}

func decodeClaims(payload []byte, plan *claimPlan) (*claims, error) {
	c := &claims{plan: plan}
	if err := json.Unmarshal(payload, c); err != nil {
		return nil, fmt.Errorf("%w: decode: %w", ErrClaims, err)
	}
	return c, nil
}

func truncate(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// ---- values

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

// validUserID holds an ID to design's one rule and changes nothing in it.
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
