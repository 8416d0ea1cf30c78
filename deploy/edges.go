package deploy

// Edge is one arrow of the drawing: From opens connections to To.
type Edge struct {
	From string
	To   string
	Port int32
	Why  string
}

// Names that are no workload of ours.
const (
	// Outside is whoever comes through the cluster's ingress controller.
	Outside = "outside"
	// ProviderOutside is an identity provider outside the cluster. A
	// NetworkPolicy knows no host names, so this edge is any public address.
	ProviderOutside = "identity-provider"
	// DevIDP stands in for it in development.
	DevIDP = "dev-idp"
)

// Ports. A NetworkPolicy sees the port of the pod, not that of the Service.
const (
	HTTPS       int32 = 8443
	NATS        int32 = 4222
	Postgres    int32 = 5432
	PublicHTTPS int32 = 443
)

// Edges of every overlay. Two kinds are not listed: every pod may ask the
// cluster's DNS, and a node always reaches its own pods, so probes need no rule.
var Edges = []Edge{
	{Outside, "console", HTTPS, "browsers"},

	{"console", "orders", HTTPS, "a user's orders, with the user's token"},
	{"console", "billing", HTTPS, "a user's invoices, with the user's token"},
	{"console", "token-exchange", HTTPS, "front door, key set"},

	{"orders", "billing", HTTPS, "an invoice for an order, with a delegated token"},
	{"orders", "token-exchange", HTTPS, "service and delegated tokens, key set"},
	{"billing", "token-exchange", HTTPS, "key set"},

	{"identity-relay", "orders", HTTPS, "which user IDs it holds"},
	{"identity-relay", "billing", HTTPS, "which user IDs it holds"},
	{"identity-relay", "console", HTTPS, "which user IDs it holds"},
	{"identity-relay", "token-exchange", HTTPS, "which user IDs it holds; service tokens, key set"},

	{"orders", "nats", NATS, "events, revocations"},
	{"billing", "nats", NATS, "events, revocations"},
	{"token-exchange", "nats", NATS, "events, revocations"},
	{"identity-relay", "nats", NATS, "events, receipts, revocations"},
	{"console", "nats", NATS, "events, revocations"},
	{"streams-apply", "nats", NATS, "declares streams, consumers and buckets"},

	{"orders", "postgres", Postgres, "its own database"},
	{"billing", "postgres", Postgres, "its own database"},
	{"token-exchange", "postgres", Postgres, "its own database"},
	{"identity-relay", "postgres", Postgres, "its own database"},
	{"console", "postgres", Postgres, "its own database"},
}

// toProvider are the services that call the identity provider, and why.
var toProvider = []Edge{
	{From: "console", Why: "sign-in, sign-up, key set"},
	{From: "orders", Why: "key set, names from the directory"},
	{From: "billing", Why: "key set, refunds are asked"},
	{From: "token-exchange", Why: "key set"},
	{From: "identity-relay", Why: "look-ups and the user list, key set"},
}

// EdgesOf adds what an overlay has beside the common edges: "dev" has the
// development identity provider and one Postgres of its own, "prod" an identity
// provider outside.
func EdgesOf(overlay string) []Edge {
	edges := append([]Edge{}, Edges...)
	provider, port := ProviderOutside, PublicHTTPS
	if overlay == "dev" {
		provider, port = DevIDP, HTTPS
		edges = append(edges,
			Edge{DevIDP, "identity-relay", HTTPS, "webhooks"},
			Edge{DevIDP, "postgres", Postgres, "its own database"},
			Edge{"databases-apply", "postgres", Postgres, "gives every service its database and roles"})
	} else {
		edges = append(edges, Edge{Outside, "identity-relay", HTTPS, "the identity provider's webhooks"})
	}
	for _, e := range toProvider {
		edges = append(edges, Edge{e.From, provider, port, e.Why})
	}
	return edges
}
