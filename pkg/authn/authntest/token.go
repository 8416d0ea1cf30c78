package authntest

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

// DefaultAudience is in tokens that are given no other.
const DefaultAudience = "test"

// DefaultLifetime of tokens.
const DefaultLifetime = 15 * time.Minute

type token struct {
	key    Key
	header map[string]any
	claims map[string]any
}

// TokenOption changes a token before it is signed.
type TokenOption func(*token)

// Claim sets any claim; a nil value takes it away.
func Claim(name string, value any) TokenOption {
	return func(t *token) {
		if value == nil {
			delete(t.claims, name)
			return
		}
		t.claims[name] = value
	}
}

// Claims sets several claims.
func Claims(claims map[string]any) TokenOption {
	return func(t *token) { maps.Copy(t.claims, claims) }
}

// Header sets a header member; a nil value takes it away.
func Header(name string, value any) TokenOption {
	return func(t *token) { t.header[name] = value }
}

// SignedBy signs with another key.
func SignedBy(k Key) TokenOption { return func(t *token) { t.key = k } }

// Audience sets `aud`.
func Audience(audiences ...string) TokenOption { return Claim("aud", audiences) }

// Scope sets `scope`, space separated.
func Scope(scope string) TokenOption { return Claim("scope", scope) }

// Tenant sets `tenant_id`.
func Tenant(id string) TokenOption { return Claim("tenant_id", id) }

// Session sets `sid`.
func Session(id string) TokenOption { return Claim("sid", id) }

// ID sets `jti`.
func ID(id string) TokenOption { return Claim("jti", id) }

// Permissions sets `permissions`: the issuer's entity type or entity → names.
func Permissions(grants map[string][]string) TokenOption { return Claim("permissions", grants) }

// ABACRequired sets `abac_required`.
func ABACRequired(grants map[string][]string) TokenOption { return Claim("abac_required", grants) }

// ActedBy makes it a delegated token: clients, the latest first, act for the subject.
func ActedBy(clients ...string) TokenOption {
	return func(t *token) {
		var act map[string]any
		for _, client := range slices.Backward(clients) {
			outer := map[string]any{"sub": "client:" + client, "client_id": client}
			if act != nil {
				outer["act"] = act
			}
			act = outer
		}
		if act != nil {
			t.claims["act"], t.claims["client_id"] = act, clients[0]
		}
	}
}

// IssuedAt sets `iat` and moves `exp` and `auth_time` with it.
func IssuedAt(at time.Time) TokenOption {
	return func(t *token) {
		t.claims["iat"] = at.Unix()
		t.claims["exp"] = at.Add(DefaultLifetime).Unix()
		if _, ok := t.claims["auth_time"]; ok {
			t.claims["auth_time"] = at.Unix()
		}
	}
}

// ExpiresAt sets `exp`.
func ExpiresAt(at time.Time) TokenOption { return Claim("exp", at.Unix()) }

// UserToken signs an access token of a user, as token-exchange and an IdP with
// RFC 9068 tokens make it: client_id "console", a jti and sid of its own.
func (i *Issuer) UserToken(sub string, opts ...TokenOption) string {
	i.t.Helper()
	now := i.now()
	return i.Sign(map[string]any{
		"iss": i.iss, "sub": sub, "aud": []string{DefaultAudience}, "client_id": "console",
		"iat": now.Unix(), "exp": now.Add(DefaultLifetime).Unix(), "jti": rand.Text(),
		"kind": "user", "sid": rand.Text(), "auth_time": now.Unix(),
	}, opts...)
}

// ServiceToken signs a service token of a client.
func (i *Issuer) ServiceToken(clientID string, opts ...TokenOption) string {
	i.t.Helper()
	now := i.now()
	return i.Sign(map[string]any{
		"iss": i.iss, "sub": "client:" + clientID, "aud": []string{DefaultAudience}, "client_id": clientID,
		"iat": now.Unix(), "exp": now.Add(DefaultLifetime).Unix(), "jti": rand.Text(), "kind": "service",
	}, opts...)
}

// SecurityEvent signs a Security Event Token (RFC 8417) about a user of this
// issuer: events maps event types to their payloads.
func (i *Issuer) SecurityEvent(sub string, events map[string]any, opts ...TokenOption) string {
	i.t.Helper()
	return i.Sign(map[string]any{
		"iss": i.iss, "aud": []string{DefaultAudience}, "iat": i.now().Unix(), "jti": rand.Text(),
		"sub_id": map[string]any{"format": "iss_sub", "iss": i.iss, "sub": sub}, "events": events,
	}, append([]TokenOption{Header("typ", "secevent+jwt")}, opts...)...)
}
