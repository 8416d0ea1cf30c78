package access

import (
	"fmt"

	"github.com/shadowless/shadowless/pkg/authn"
)

type ruleKind uint8

const (
	rulePublic ruleKind = iota + 1
	ruleAnyUser
	ruleUser
	ruleAsked
	ruleClient
	ruleExternalClient
	ruleDelegated
)

// Rule is one way to be admitted.
type Rule struct {
	kind       ruleKind
	entityType string
	permission string
	client     string
	scope      string
}

// Public admits everybody, without a token.
func Public() Rule { return Rule{kind: rulePublic} }

// AnyUser admits a user who calls for themselves; what they may see is decided
// by ownership in the service's own rules.
func AnyUser() Rule { return Rule{kind: ruleAnyUser} }

// User admits a user who calls for themselves and whose token grants the
// permission on every entity of the type.
func User(entityType, permission string) Rule {
	return Rule{kind: ruleUser, entityType: entityType, permission: permission}
}

// Asked admits a user to whom the permission is not denied; the endpoint asks,
// with the attributes of the entity, before it acts.
func Asked(entityType, permission string) Rule {
	return Rule{kind: ruleAsked, entityType: entityType, permission: permission}
}

// Client admits one named service that calls for itself.
func Client(id, scope string) Rule { return Rule{kind: ruleClient, client: id, scope: scope} }

// ExternalClient admits any registered service that has the scope.
func ExternalClient(scope string) Rule { return Rule{kind: ruleExternalClient, scope: scope} }

// Delegated admits a user on whose behalf the named service calls.
func Delegated(client, scope string) Rule {
	return Rule{kind: ruleDelegated, client: client, scope: scope}
}

// String is the rule as the documentation shows it.
func (r Rule) String() string {
	switch r.kind {
	case rulePublic:
		return "everybody"
	case ruleAnyUser:
		return "any user, own data"
	case ruleUser:
		return fmt.Sprintf("user with %s on %s", r.permission, r.entityType)
	case ruleAsked:
		return fmt.Sprintf("user, asked for %s on %s", r.permission, r.entityType)
	case ruleClient:
		return fmt.Sprintf("service %s with scope %s", r.client, r.scope)
	case ruleExternalClient:
		return "any service with scope " + r.scope
	case ruleDelegated:
		return fmt.Sprintf("user through %s with scope %s", r.client, r.scope)
	default:
		return "nobody"
	}
}

func (r Rule) admits(p *authn.Principal) bool {
	user := p.Kind() == authn.KindUser
	switch r.kind {
	case rulePublic:
		return true
	case ruleAnyUser:
		return user && p.Actor() == nil
	case ruleUser:
		return user && p.Actor() == nil && p.Can(r.entityType, "", r.permission) == authn.Allow
	case ruleAsked:
		return user && p.Actor() == nil && p.Can(r.entityType, "", r.permission) != authn.Deny
	case ruleClient:
		return p.Kind() == authn.KindService && p.ClientID() == r.client && p.HasScope(r.scope)
	case ruleExternalClient:
		return p.Kind() == authn.KindService && p.HasScope(r.scope)
	case ruleDelegated:
		return user && p.Actor() != nil && p.Actor().ClientID() == r.client && p.HasScope(r.scope)
	default:
		return false
	}
}

// undecided reports that only an answer of the identity provider could admit
// the caller: the token does not carry its permissions.
func (r Rule) undecided(p *authn.Principal) bool {
	return r.kind == ruleUser && p.Kind() == authn.KindUser && p.Actor() == nil &&
		p.Can(r.entityType, "", r.permission) == authn.Ask
}
