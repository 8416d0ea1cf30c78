package authn

import (
	"slices"
	"strings"
)

// Decision is what a token alone says about a permission.
type Decision uint8

const (
	// Deny: the token does not grant it.
	Deny Decision = iota
	// Allow: the token grants it.
	Allow
	// Ask: the token cannot tell; see Authorize.
	Ask
)

// String returns "deny", "allow" or "ask".
func (d Decision) String() string {
	switch d {
	case Allow:
		return "allow"
	case Ask:
		return "ask"
	default:
		return "deny"
	}
}

// Can decides from the token's claims whether the caller may use permission on
// the entity. entityType may be a local name of Config.EntityTypes; entityID
// may be "" where there is no entity yet.
//
// A permission counts under the type and under "type:id". One that is listed
// as needing attributes is Ask, unless the other key grants it outright. A
// token without a permissions claim is Ask, or Deny where the issuer's claim
// is authoritative.
func (p *Principal) Can(entityType, entityID, permission string) Decision {
	if p == nil || entityType == "" || permission == "" {
		return Deny
	}
	remote := p.EntityType(entityType)
	for _, client := range p.fullAccess {
		if client != "" && strings.HasPrefix(remote, "client_"+client+":") {
			return Allow
		}
	}
	decision := p.granted(remote, permission)
	if decision != Allow && entityID != "" {
		if d := p.granted(remote+":"+entityID, permission); d != Deny {
			decision = d
		}
	}
	if decision == Deny && !p.PermissionsAuthoritative() {
		return Ask
	}
	return decision
}

func (p *Principal) granted(key, permission string) Decision {
	switch {
	case !slices.Contains(p.permissions.of(key), permission):
		return Deny
	case slices.Contains(p.abac.of(key), permission):
		return Ask
	default:
		return Allow
	}
}

// EntityType returns the issuer's name of a local entity type, or the name
// itself where Config.EntityTypes has none.
func (p *Principal) EntityType(local string) string {
	if remote, ok := p.entityTypes[local]; ok {
		return remote
	}
	return local
}
