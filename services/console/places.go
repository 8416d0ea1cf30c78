package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/services/console/internal/web"
)

const identityProvider = "identity provider"

// known says what the parts of the system are for, in the order of the page.
var known = []struct{ name, what string }{
	{"orders", "places, lists and cancels orders"},
	{"billing", "invoices, payments, refunds and the ledger"},
	{"token-exchange", "turns long-lived secrets into short-lived tokens"},
	{"identity-relay", "webhooks in, identity events out; owns erasures"},
	{identityProvider, "accounts, sign-in and the permission model"},
	{"dev-idp", "accounts, sign-in and the permission model; for development only"},
	{"nats", "events, receipts and revocations"},
	{"postgres", "one database for each service"},
}

// places are what the page points to: what is configured, and in development,
// where everything runs on one machine, what the console itself calls.
func places(cfg Config) []web.Place {
	addresses := map[string]string{}
	if cfg.IsDevelopment() {
		addresses["orders"], addresses["billing"] = cfg.OrdersURL, cfg.BillingURL
		addresses["token-exchange"] = cfg.TokenExchangeURL
		addresses[identityProvider] = cfg.Issuer
		if first, _, _ := strings.Cut(cfg.NATSURL, ","); !strings.Contains(first, "@") {
			addresses["nats"] = first
		}
	}
	for name, address := range cfg.Places {
		if address == addresses[identityProvider] {
			delete(addresses, identityProvider) // it has a name of its own
		}
		addresses[name] = address
	}
	var out []web.Place
	for _, part := range known {
		if address := addresses[part.name]; address != "" {
			out = append(out, place(part.name, part.what, address))
			delete(addresses, part.name)
		}
	}
	var others []web.Place
	for name, address := range addresses {
		if address != "" {
			others = append(others, place(name, "", address))
		}
	}
	slices.SortFunc(others, func(a, b web.Place) int { return strings.Compare(a.Name, b.Name) })
	return append(out, others...)
}

// place links a service to its readiness, which says what it waits for; other
// addresses are shown as they are.
func place(name, what, address string) web.Place {
	p := web.Place{Name: name, What: what, Address: address}
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		p.Href = address
		if u.Path == "" || u.Path == "/" {
			p.Href = u.JoinPath("readyz").String()
		}
	}
	return p
}
