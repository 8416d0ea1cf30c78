package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// AuditScope is the scope that reading the audit needs, at the audience
// "token-exchange"; AdminScope does too.
const AuditScope = "token-exchange:audit"

// Exchange is one attempt to get a token. Hashes are SHA-256 in hex.
type Exchange struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	GrantType string    `json:"grant_type"`
	Granted   bool      `json:"granted"`
	Reason    string    `json:"reason,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	KeyID     string    `json:"key_id,omitempty"`
	// UserID of the token's subject, base64url; empty for services and for
	// users who were erased.
	UserID             string   `json:"user_id,omitempty"`
	Audience           []string `json:"audience"`
	Scope              string   `json:"scope,omitempty"`
	TokenID            string   `json:"token_id,omitempty"`
	TokenSHA256        string   `json:"token_sha256,omitempty"`
	SubjectTokenSHA256 string   `json:"subject_token_sha256,omitempty"`
	Address            string   `json:"address,omitempty"`
}

// ExchangeList is the answer of GET /v1/audit/exchanges, newest first.
type ExchangeList struct {
	Exchanges []Exchange `json:"exchanges"`
	// Next is the `before` of the next page; 0 at the end.
	Next int64 `json:"next,omitzero"`
}

// Refusals are attempts that proved no key, or were over a limit, counted per
// minute, address and reason.
type Refusals struct {
	Minute  time.Time `json:"minute"`
	Address string    `json:"address,omitempty"`
	Reason  string    `json:"reason"`
	KeyID   string    `json:"key_id,omitempty"`
	Count   int64     `json:"count"`
}

// RefusalsList is the answer of GET /v1/audit/refusals, newest first.
type RefusalsList struct {
	Refusals []Refusals `json:"refusals"`
}

// Change is what an operator, a key's holder or the service itself changed.
type Change struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	ClientID string    `json:"client_id"`
	KeyID    string    `json:"key_id,omitempty"`
}

// ChangeList is the answer of GET /v1/audit/changes, newest first.
type ChangeList struct {
	Changes []Change `json:"changes"`
	Next    int64    `json:"next,omitzero"`
}

// AuditQuery narrows what is listed. The zero value means everything.
type AuditQuery struct {
	ClientID string
	KeyID    string
	Address  string
	Reason   string
	UserID   string // as it is, not encoded
	Token    string // SHA-256 in hex
	Granted  *bool
	Since    time.Time
	Until    time.Time
	Before   int64 // ID
	Limit    int   // 0: the service's default
}

// Values is the query as a URL's.
func (q AuditQuery) Values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("client_id", q.ClientID)
	set("key_id", q.KeyID)
	set("address", q.Address)
	set("reason", q.Reason)
	set("user_id", EncodeUserID(q.UserID))
	set("token_sha256", q.Token)
	if q.Granted != nil {
		v.Set("granted", strconv.FormatBool(*q.Granted))
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// EncodeUserID makes a user ID fit for a URL: base64url without padding.
func EncodeUserID(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

// Exchanges lists attempts to get a token.
func (a *Admin) Exchanges(ctx context.Context, q AuditQuery) (ExchangeList, error) {
	return audited[ExchangeList](ctx, a, q, "exchanges")
}

// Refusals lists counts of attempts that have no record of their own.
func (a *Admin) Refusals(ctx context.Context, q AuditQuery) (RefusalsList, error) {
	return audited[RefusalsList](ctx, a, q, "refusals")
}

// Changes lists what was changed.
func (a *Admin) Changes(ctx context.Context, q AuditQuery) (ChangeList, error) {
	return audited[ChangeList](ctx, a, q, "changes")
}

func audited[Resp any](ctx context.Context, a *Admin, q AuditQuery, what string) (Resp, error) {
	return apiclient.Do[Resp](ctx, a.client, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "audit", what}, Query: q.Values()})
}
