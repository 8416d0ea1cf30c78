// Package access is a service's access table: one place that says, for each
// route, who may call it, how old its knowledge of revocations may be, and what
// happens when it is older. Code, documentation and tests read the same table; a
// route that is missing from it does not start.
package access

import (
	"context"
	"slices"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

// DefaultMaxStaleness is how old a replica's knowledge of revocations may be.
// It lies above the change of a leader in a NATS cluster, measured at about 7 s.
const DefaultMaxStaleness = 15 * time.Second

// Posture says what a route does when revocations are staler than its limit.
type Posture uint8

const (
	// FailClosed answers 503 with Retry-After.
	FailClosed Posture = iota
	// FailOpen serves with what is known. A choice for routes where being there
	// matters more than the last seconds of a ban.
	FailOpen
)

func (p Posture) String() string {
	if p == FailOpen {
		return "fail open"
	}
	return "fail closed"
}

// Table is every route of one service.
type Table struct {
	Service string
	Routes  []Route
}

// Route is one row. Any rule of Allow that holds admits the caller.
type Route struct {
	Pattern      string // net/http's: "POST /v1/orders"
	Allow        []Rule
	MaxStaleness time.Duration // 0 means DefaultMaxStaleness
	Posture      Posture
	// StepUp is how strongly and how recently a user whom a rule admits must have
	// signed in (RFC 9470). With one that requires anything no service is admitted.
	StepUp authn.StepUp
	// Discloses is profile data beyond a name and a picture that the route may
	// show. A look-up of such data asks for it, see [Discloses].
	Discloses []Data
	Doc       string // one line
}

// Data is a kind of profile data that not every route may show.
type Data string

// Email is a user's e-mail address.
const Email Data = "e-mail"

type routeKey struct{}

// Discloses reports whether ctx belongs to a caller whom the table has admitted
// to a route that may show d.
func Discloses(ctx context.Context, d Data) bool {
	route, _ := ctx.Value(routeKey{}).(Route)
	return slices.Contains(route.Discloses, d)
}

// Limit is how stale revocations may be for this route.
func (r Route) Limit() time.Duration {
	if r.MaxStaleness == 0 {
		return DefaultMaxStaleness
	}
	return r.MaxStaleness
}

// IsPublic reports whether the route asks for no token.
func (r Route) IsPublic() bool {
	for _, rule := range r.Allow {
		if rule.kind == rulePublic {
			return true
		}
	}
	return false
}

func (t Table) route(pattern string) (Route, bool) {
	for _, r := range t.Routes {
		if r.Pattern == pattern {
			return r, true
		}
	}
	return Route{}, false
}
