package console

import (
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
)

// Access is who may call what. Browsers bring a cookie and no token, so the
// pages are open to everybody at the level of tokens; "session" in a row's Doc
// says that the handler finds the session, verifies its token again, and sends
// everybody else to sign in. What an order or an invoice allows is decided by
// orders and billing, which get that token.
func Access() access.Table {
	page := func(pattern, doc string) access.Route {
		return access.Route{Pattern: pattern, Allow: []access.Rule{access.Public()}, Posture: access.FailOpen, Doc: doc}
	}
	return access.Table{Service: Name, Routes: append([]access.Route{
		page("GET /{$}", "the page: with a session who I am, what my token holds and my orders; without one, how to sign in"),
		page("GET /assets/{name}", "style sheet and icon"),
		page("GET /auth/login", "begin to sign in at the identity provider"),
		page("GET /auth/callback", "the identity provider's answer; needs the cookie of the sign-in that this browser began"),
		page("POST /auth/logout", "session: end it"),
		page("GET /sign-up", "the form for a new account"),
		page("POST /sign-up", "make an account; limited by address"),
		page("POST /orders", "session: place an order"),
		page("POST /orders/{id}/pay", "session: pay an order's invoice"),
		page("POST /orders/{id}/cancel", "session: cancel an order"),
		page("POST /orders/{id}/refund", "session: ask for an order's money back"),
		page("GET /v1/me", "session: what my token holds, as JSON"),
		page("POST /v1/sign-up", "make an account, as JSON; limited by address"),
		userids.Route(),
	}, holdings.Routes()...)}
}
