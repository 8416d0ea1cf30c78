package exchange

import (
	"encoding/json"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Basis is whom a token is about and what bounds it.
type Basis struct {
	Kind   authn.Kind
	UserID string // for the audit; empty for a service

	Subject      string
	Permissions  map[string][]string // narrowed to the audience when minted
	ABACRequired map[string][]string
	TenantID     string
	SessionID    string
	ACR          string
	AuthTime     time.Time // zero: unknown
	OriginallyAt time.Time // zero: now
	NotAfter     time.Time // zero: only MaxLife bounds it
	Ancestors    []string
	Actor        *actor
	MayAct       json.RawMessage

	Scopes ScopeRule
	// Limited: no scope beyond Limit, whatever the rule allows.
	Limited bool
	Limit   []string
	// IssuedTokenType is set by token exchange.
	IssuedTokenType string
}

// ScopeRule says which of a client's scopes a token may have.
type ScopeRule uint8

const (
	// OwnScopes: those that the client has for itself; all of them unless
	// some are asked for.
	OwnScopes ScopeRule = iota
	// DelegableScopes: those that the client may have on a user's behalf; all
	// of them unless some are asked for.
	DelegableScopes
	// DelegableOnRequest: the same, but none unless they are asked for. A
	// front door's token is the user's own and is not bounded by default.
	DelegableOnRequest
)
