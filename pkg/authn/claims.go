package authn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

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
		if err := c.member(dec, node.children[name]); err != nil {
			return fmt.Errorf("%s: %w", strconv.QuoteToASCII(truncate(name, 64)), err)
		}
	}
	_, err = dec.ReadToken()
	return err
}

func (c *claims) member(dec *jsontext.Decoder, node *claimNode) error {
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
