package exchange

import (
	"encoding/json"

	"github.com/shadowless/shadowless/pkg/authn"
)

// tokenType is the header `typ` of RFC 9068, section 2.1.
const tokenType = "at+jwt"

// claims of a minted token. Profile data never gets in.
type claims struct {
	Issuer       string              `json:"iss"`
	Subject      string              `json:"sub"`
	Audience     []string            `json:"aud"`
	ClientID     string              `json:"client_id"`
	IssuedAt     int64               `json:"iat"`
	ExpiresAt    int64               `json:"exp"`
	ID           string              `json:"jti"`
	Kind         string              `json:"kind"`
	Scope        string              `json:"scope,omitempty"`
	Permissions  map[string][]string `json:"permissions,omitempty"`
	ABACRequired map[string][]string `json:"abac_required,omitempty"`
	TenantID     string              `json:"tenant_id,omitempty"`
	SessionID    string              `json:"sid,omitempty"`
	AuthTime     int64               `json:"auth_time,omitempty"`
	ACR          string              `json:"acr,omitempty"`
	OriginallyAt int64               `json:"orig_iat"`
	Ancestors    []string            `json:"ancestors,omitempty"`
	Actor        *actor              `json:"act,omitempty"`
	MayAct       json.RawMessage     `json:"may_act,omitempty"`
}

// actor is RFC 8693, section 4.1: the newest outside, the earlier ones nested.
type actor struct {
	Subject  string `json:"sub"`
	ClientID string `json:"client_id,omitempty"`
	Actor    *actor `json:"act,omitempty"`
}

func actorOf(a *authn.Actor) *actor {
	if a == nil {
		return nil
	}
	return &actor{Subject: a.Subject(), ClientID: a.ClientID(), Actor: actorOf(a.Actor())}
}

func (a *actor) depth() int {
	n := 0
	for ; a != nil; a = a.Actor {
		n++
	}
	return n
}
