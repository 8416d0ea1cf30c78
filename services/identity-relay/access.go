package identityrelay

import (
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// operatorClient is the client of `shadowless`, the operator's command.
const operatorClient = "operator"

// Access says who may call what. The operator's routes fail closed like any
// other; what facts are pushed to is public, because a signature is the credential.
var Access = access.Table{Service: name, Routes: append([]access.Route{
	{
		Pattern: "POST /v1/webhooks/auther", Allow: []access.Rule{access.Public()},
		Doc: "Auther's webhooks; authenticated by their signature",
	},
	{
		Pattern: "POST /v1/security-events", Allow: []access.Rule{access.Public()},
		Doc: "Security Event Tokens by push (RFC 8935); authenticated by their signature",
	},
	{
		Pattern: "GET /v1/sources", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "what each source of facts delivered, and what was refused for which reason",
	},
	{
		Pattern: "GET /v1/erasures", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "erasures, oldest first; by state, late ones alone",
	},
	{
		Pattern: "GET /v1/erasures/{id}", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "one erasure with its receipts and certificate",
	},
	{
		Pattern: "POST /v1/erasures/{id}/release", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "let an erasure go on that the breaker or a legal hold stops",
	},
	{
		Pattern: "POST /v1/erasures/{id}/hold", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "stop an erasure that has asked nobody yet, by a legal hold on its user",
	},
	{
		Pattern: "POST /v1/erasures/{id}/retry", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "ask the participants of an erasure again",
	},
	{
		Pattern: "POST /v1/erasures/{id}/readmit", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "let the user of an erasure come back",
	},
	{
		Pattern: "GET /v1/legal-holds", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "the legal holds that are not lifted",
	},
	{
		Pattern: "POST /v1/legal-holds", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "keep a user's data from being erased",
	},
	{
		Pattern: "DELETE /v1/legal-holds/{id}", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "lift a legal hold",
	},
	{
		Pattern: "POST /v1/revocations", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "revoke a user, session, token or client, or block a user",
	},
	{
		Pattern: "DELETE /v1/revocations/{kind}/{id}", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "lift a revocation",
	},
	{
		Pattern: "POST /v1/revocations/rebuild", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "project every live revocation into NATS again",
	},
	{
		Pattern: "POST /v1/reconciliations", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "compare with the identity provider's users now",
	},
	{
		Pattern: "GET /v1/reconciliations/{id}", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "the result of a reconciliation",
	},
	{
		Pattern: "GET /v1/events", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "the log of identity events, oldest first",
	},
	{
		Pattern: "POST /v1/events/replays", Allow: []access.Rule{access.Client(operatorClient, api.Scope)},
		Doc: "publish events again",
	},
}, userDataRoutes()...)}
