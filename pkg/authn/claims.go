package authn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxUserIDBytes = 255
	maxIDBytes     = 255 // jti, sid, client_id, tenant
	maxActors      = 8
	maxAncestors   = 3
	maxAudiences   = 64
)

// claims is a decoded payload. What is not set was not there, or null. Strings
// without escapes are parts of the payload.
type claims struct {
	iss, sub          ranked[string]
	aud               []string
	exp, iat, nbf     ranked[int64]
	origIAT           ranked[int64]
	ancestors         []string
	actor             *Actor
	hasConfirmation   bool
	apiKeyID          ranked[string]
	serviceMark       bool   // one of the profile's service marks matched
	required          uint64 // a bit for each of the plan's required claims that matched
	scopes, roles     []string
	jti, sid, tenant  ranked[string]
	clientID, kind    ranked[string]
	acr               ranked[string]
	authTime          ranked[int64]
	permissions, abac ranked[grants]
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
type setter func(c *claims, value string) error

// claimNode says what to do with the members of one object.
type claimNode struct {
	setters  []setter
	children map[string]*claimNode
}

// claimPlan is an issuer's claim names, compiled once.
type claimPlan struct {
	root *claimNode
	// required names the claims that must match; its bits are claims.required.
	required []string
}

// decodeClaims reads the payload of t in one pass. Duplicate names, invalid
// UTF-8 and trailing data are refused at every depth, in values that nobody
// looks at too.
func decodeClaims(t compactToken, plan *claimPlan) (*claims, error) {
	if !t.payloadValid {
		return nil, fmt.Errorf("%w: decode: %w", ErrClaims, whyInvalid(t.payload))
	}
	c := &claims{}
	text := trimJSON(t.payload)
	if text[0] != '{' {
		return nil, badClaim("not an object")
	}
	if err := c.walk(text, plan.root); err != nil {
		return nil, fmt.Errorf("%w: decode: %w", ErrClaims, err)
	}
	return c, nil
}

func (c *claims) walk(object string, node *claimNode) error {
	for at := inside(object); ; {
		quoted, value, ok := at.member()
		if !ok {
			return nil
		}
		name, err := unquote(quoted)
		if err == nil {
			err = c.member(value, node.children[name])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strconv.QuoteToASCII(truncate(name, 64)), err)
		}
	}
}

func (c *claims) member(value string, node *claimNode) error {
	if node == nil || value[0] == 'n' {
		return nil
	}
	for _, set := range node.setters {
		if err := set(c, value); err != nil {
			return err
		}
	}
	if node.children != nil && value[0] == '{' {
		return c.walk(value, node)
	}
	return nil
}

// whyInvalid says what is wrong with JSON that is not valid, for the log.
func whyInvalid(payload string) error {
	dec := jsontext.NewDecoder(strings.NewReader(payload))
	if _, err := dec.ReadValue(); err != nil {
		return err
	}
	return errors.New("data after the claims")
}

func truncate(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
