package tokenexchange

import (
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// operator is the client that manages the others.
const operator = "operator"

// Access is who may call what. The token endpoints are public to the mux: they
// prove their clients by themselves, in the language of OAuth, and hold subject
// tokens to the same staleness.
func Access() access.Table {
	admin := []access.Rule{access.Client(operator, api.AdminScope)}
	auditors := []access.Rule{access.Client(operator, api.AdminScope), access.ExternalClient(api.AuditScope)}
	everybody := []access.Rule{access.Public()}
	return access.Table{Service: Name, Routes: append([]access.Route{
		{Pattern: "POST /oauth/token", Allow: everybody, Doc: "get a token; the client authenticates with its API key (RFC 6749, RFC 8693)"},
		{Pattern: "POST /oauth/introspect", Allow: everybody, Doc: "whether a token is alive; the client authenticates as for a token (RFC 7662)"},
		{Pattern: "POST /oauth/revoke", Allow: everybody, Doc: "end a token that one fetched, or an API key that one holds (RFC 7009)"},
		{Pattern: "POST /api/auth/api-key/exchange", Allow: everybody, Doc: "Auther's exchange of an API key for a token"},
		{Pattern: "GET /.well-known/oauth-authorization-server", Allow: everybody, Doc: "the issuer's metadata (RFC 8414)"},
		{Pattern: "GET /.well-known/jwks.json", Allow: everybody, Doc: "the public keys (RFC 7517)"},
		{Pattern: "POST /v1/keys/status", Allow: everybody, Doc: "what has become of a key, for whoever holds the whole of it"},
		{Pattern: "POST /v1/keys/revoke", Allow: everybody, Doc: "end a key at once, for whoever holds the whole of it"},
		{Pattern: "GET /v1/clients", Allow: admin, Doc: "list clients"},
		{Pattern: "POST /v1/clients", Allow: admin, Doc: "register a client"},
		{Pattern: "GET /v1/clients/{id}", Allow: admin, Doc: "read a client"},
		{Pattern: "PUT /v1/clients/{id}", Allow: admin, Doc: "make a client what the request says; again changes nothing"},
		{Pattern: "PATCH /v1/clients/{id}", Allow: admin, Posture: access.FailOpen, Doc: "change or block a client"},
		{Pattern: "GET /v1/clients/{id}/keys", Allow: admin, Doc: "list a client's keys, never the keys themselves"},
		{Pattern: "POST /v1/clients/{id}/keys", Allow: admin, Doc: "make a key; it is shown this once"},
		{Pattern: "PUT /v1/clients/{id}/keys/{key_id}", Allow: admin, Doc: "import a key that was generated elsewhere"},
		{Pattern: "POST /v1/clients/{id}/keys/{key_id}/rotate", Allow: admin, Doc: "make a key's successor and end the key after an overlap"},
		{Pattern: "DELETE /v1/clients/{id}/keys/{key_id}", Allow: admin, Posture: access.FailOpen, Doc: "end a key at once"},
		{Pattern: "GET /v1/clients/{id}/upstream-key", Allow: admin, Doc: "try a client's key at the upstream issuer (broker mode)"},
		{Pattern: "PUT /v1/clients/{id}/upstream-key", Allow: admin, Doc: "keep a client's key at the upstream issuer, and try it"},
		{Pattern: "DELETE /v1/clients/{id}/upstream-key", Allow: admin, Doc: "forget a client's key at the upstream issuer"},
		{Pattern: "GET /v1/audit/exchanges", Allow: auditors, Doc: "attempts to get a token, with the true reasons"},
		{Pattern: "GET /v1/audit/refusals", Allow: auditors, Doc: "counts of attempts that proved no key or were over a limit"},
		{Pattern: "GET /v1/audit/changes", Allow: auditors, Doc: "what was changed about clients and keys, and by whom"},
		{Pattern: "POST /v1/clients/{id}/end-tokens", Allow: admin, Posture: access.FailOpen, Doc: "end every token that a client got until now"},
		{Pattern: "GET /v1/signing-keys", Allow: admin, Doc: "list the signing keys"},
		{Pattern: "POST /v1/signing-keys", Allow: admin, Posture: access.FailOpen, Doc: "make a new signing key; in an emergency, end all others"},
		{Pattern: "GET /v1/secret-keys", Allow: admin, Posture: access.FailOpen, Doc: "the IDs of the keys in the service's own key files, and what depends on them"},
		userids.Route(),
	}, holdings.Routes()...)}
}
