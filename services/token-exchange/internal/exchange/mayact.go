package exchange

import (
	stdjson "encoding/json"

	"github.com/go-json-experiment/json"

	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
)

// mayAct reports whether a `may_act` claim names the client (RFC 8693, section
// 4.4). Its `sub` is the client's own, with the prefix that no user's has: a bare
// client ID there could be some user's ID. As `client_id` it can be nothing else.
// A claim that says anything which cannot be checked here names nobody: another
// issuer, a member that we do not know, a name twice.
func mayAct(claim stdjson.RawMessage, client *clients.Client, issuer string) bool {
	var named struct {
		Issuer   *string `json:"iss"`
		Subject  *string `json:"sub"`
		ClientID *string `json:"client_id"`
	}
	if err := json.Unmarshal(claim, &named, json.RejectUnknownMembers(true)); err != nil {
		return false
	}
	if named.Issuer != nil && *named.Issuer != issuer {
		return false
	}
	if named.ClientID != nil && *named.ClientID != client.ID {
		return false
	}
	if named.Subject != nil && *named.Subject != client.Subject() {
		return false
	}
	return named.Subject != nil || named.ClientID != nil
}
