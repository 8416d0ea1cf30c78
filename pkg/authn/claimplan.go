package authn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// splitClaimName splits a JSON Pointer (RFC 6901) into names; any other name
// is one top-level claim, dots and slashes included.
func splitClaimName(name string) ([]string, error) {
	if name == "" {
		return nil, errors.New("a claim name must not be empty")
	}
	if name[0] != '/' {
		return []string{name}, nil
	}
	parts := strings.Split(name[1:], "/")
	for i, p := range parts {
		if p == "" {
			return nil, fmt.Errorf("%q: empty part", name)
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

// msThreshold tells an `iat` in milliseconds from one in seconds, which will
// reach it in the year 5138.
const msThreshold = 100_000_000_000

// newClaimPlan compiles an issuer's claim names. The names were checked by
// Config.Validate.
func newClaimPlan(p profile) *claimPlan {
	plan := &claimPlan{root: &claimNode{}}
	at := func(name string, set setter) { plan.add(name, set) }
	plan.registered(at, slices.Contains(p.quirks, QuirkIATMilliseconds))
	plan.named(at, p.claims)
	if p.kind == kindByAPIKey {
		once(at, "apiKeyId", readID, func(c *claims) *ranked[string] { return &c.apiKeyID })
	}
	for claim, want := range p.serviceMarks {
		at(claim, matcher(want, func(c *claims) { c.serviceMark = true }))
	}
	for claim, want := range p.requiredClaims {
		bit := uint64(1) << len(plan.required)
		plan.required = append(plan.required, claim)
		at(claim, matcher(want, func(c *claims) { c.required |= bit }))
	}
	return plan
}

func (p *claimPlan) add(name string, set setter) {
	parts, err := splitClaimName(name)
	if err != nil {
		return
	}
	node := p.root
	for _, part := range parts {
		child := node.children[part]
		if child == nil {
			child = &claimNode{}
			if node.children == nil {
				node.children = make(map[string]*claimNode)
			}
			node.children[part] = child
		}
		node = child
	}
	node.setters = append(node.setters, set)
}

// registered adds the claims whose names are fixed by RFC 7519, 7800 and 8693,
// and token-exchange's own.
func (p *claimPlan) registered(at func(string, setter), iatMilliseconds bool) {
	once(at, "iss", readString, func(c *claims) *ranked[string] { return &c.iss })
	once(at, "sub", readString, func(c *claims) *ranked[string] { return &c.sub })
	at("aud", func(c *claims, v string) (err error) { c.aud, err = readStrings(v); return err })
	once(at, "exp", readDate, func(c *claims) *ranked[int64] { return &c.exp })
	once(at, "nbf", readDate, func(c *claims) *ranked[int64] { return &c.nbf })
	at("iat", func(c *claims, v string) error {
		iat, err := readDate(v)
		if iatMilliseconds && iat >= msThreshold {
			iat /= 1000
		}
		c.iat.offer(iat, 0)
		return err
	})
	once(at, "orig_iat", readDate, func(c *claims) *ranked[int64] { return &c.origIAT })
	at("ancestors", func(c *claims, v string) (err error) { c.ancestors, err = readArray(v); return err })
	at("act", func(c *claims, v string) (err error) { c.actor, err = readActor(v); return err })
	at("cnf", func(c *claims, _ string) error { c.hasConfirmation = true; return nil })
}

// named adds the claims whose names the profile or the configuration says.
func (p *claimPlan) named(at func(string, setter), names ClaimNames) {
	rank(at, names.TokenID, readID, func(c *claims) *ranked[string] { return &c.jti })
	rank(at, names.SessionID, readID, func(c *claims) *ranked[string] { return &c.sid })
	rank(at, names.TenantID, readID, func(c *claims) *ranked[string] { return &c.tenant })
	rank(at, names.ClientID, readID, func(c *claims) *ranked[string] { return &c.clientID })
	rank(at, names.Kind, readString, func(c *claims) *ranked[string] { return &c.kind })
	rank(at, names.ACR, readString, func(c *claims) *ranked[string] { return &c.acr })
	rank(at, names.AuthTime, readDate, func(c *claims) *ranked[int64] { return &c.authTime })
	rank(at, names.Permissions, readGrants, func(c *claims) *ranked[grants] { return &c.permissions })
	rank(at, names.ABACRequired, readGrants, func(c *claims) *ranked[grants] { return &c.abac })
	rank(at, names.ClientFullAccess, readStrings, func(c *claims) *ranked[[]string] { return &c.fullAccess })
	collect(at, names.Scopes, func(c *claims) *[]string { return &c.scopes })
	collect(at, names.Roles, func(c *claims) *[]string { return &c.roles })
}

// once stores the one claim of this name.
func once[T any](at func(string, setter), name string, read func(string) (T, error), field func(*claims) *ranked[T]) {
	rank(at, Names{name}, read, field)
}

// rank offers each named claim to the field; the first name counts most.
func rank[T any](at func(string, setter), names Names, read func(string) (T, error), field func(*claims) *ranked[T]) {
	for i, name := range names {
		at(name, func(c *claims, v string) error {
			value, err := read(v)
			if err == nil {
				field(c).offer(value, i)
			}
			return err
		})
	}
}

// collect adds up the words of all named claims.
func collect(at func(string, setter), names Names, field func(*claims) *[]string) {
	for _, name := range names {
		at(name, func(c *claims, v string) error {
			list, err := readWords(v)
			if words := field(c); *words == nil {
				*words = list
			} else {
				*words = append(*words, list...)
			}
			return err
		})
	}
}

// matcher calls found where the claim is the wanted string, or anything for "*".
func matcher(want string, found func(*claims)) setter {
	return func(c *claims, v string) error {
		if want == "*" {
			found(c)
			return nil
		}
		if s, err := readString(v); err == nil && s == want {
			found(c)
		}
		return nil
	}
}
