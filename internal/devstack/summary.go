package devstack

import (
	"fmt"
	"io"
	"time"
)

// DemoUser is an account that the development IdP is seeded with.
type DemoUser struct{ Email, Password, Role string }

// DemoUsers are the same on every machine; they exist in development only.
var DemoUsers = []DemoUser{
	{"alice@example.com", "Passw0rd!alice", "customer"},
	{"bob@example.com", "Passw0rd!bob", "customer"},
	{"staff@example.com", "Passw0rd!staff", "staff: any order, any refund"},
	{"admin@example.com", "Passw0rd!admin", "administrator of the IdP"},
}

var roles = map[string]string{
	Console:       "sign in, see what your token holds   ← open this",
	Orders:        "orders, no users table",
	Billing:       "invoices, ledger, refunds",
	TokenExchange: "API key or user token → short-lived token",
	IdentityRelay: "webhooks → identity events, erasures, revocations",
	DevIDP:        "development identity provider",
	NATS:          "events and revocations",
	Postgres:      "one database per service",
}

// Summary says in under a screen what runs where, who can sign in, and what to
// try next.
func Summary(w io.Writer, r Running, took time.Duration) {
	fmt.Fprintf(w, "\nShadowless is ready (%.1f s). The IdP behaves as %s.\n\n", took.Seconds(), r.As)
	for _, name := range Listeners {
		address := r.Ports.Address(name)
		if name != NATS && name != Postgres {
			address = r.Ports.URL(name)
		}
		if name == Postgres && r.Database != "" {
			address = r.Database
		}
		fmt.Fprintf(w, "  %-15s %-24s %s\n", name, address, roles[name])
	}
	fmt.Fprintf(w, "\nWho can sign in:\n")
	for _, u := range DemoUsers {
		fmt.Fprintf(w, "  %-18s %-15s %s\n", u.Email, u.Password, u.Role)
	}
	fmt.Fprintf(w, `
Try next, in another terminal:
  go run ./cmd/shadowless demo        the golden journey, step by step
  go run ./cmd/shadowless clients     who may get service tokens
  go run ./cmd/shadowless erasures    deletions and their receipts

Data and logs: %s
Ctrl-C stops everything; a second start finds its data; --fresh forgets it.
`, r.StateDir)
}
