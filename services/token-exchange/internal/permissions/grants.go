// Package permissions says what a user may do and in which tenant, where the
// identity provider's token does not: from the token's claims, from configured
// defaults and roles, and from a projection of the provider's grants.
package permissions

import (
	"slices"
	"strings"
)

// Grants are permissions by entity type or entity, the tenant they hold in, and
// which of them must be asked for with the entity's attributes.
type Grants struct {
	Permissions  map[string][]string
	ABACRequired map[string][]string
	TenantID     string
}

func (g *Grants) add(permissions, abac map[string][]string) {
	g.Permissions = merge(g.Permissions, permissions)
	g.ABACRequired = merge(g.ABACRequired, abac)
}

func merge(into, from map[string][]string) map[string][]string {
	for key, names := range from {
		if into == nil {
			into = map[string][]string{}
		}
		list := slices.Concat(into[key], names)
		slices.Sort(list)
		into[key] = slices.Compact(list)
	}
	return into
}

// ask makes permissions on a type be asked for wherever they were granted, on
// the type or on one entity of it.
func (g *Grants) ask(required map[string][]string) {
	for entityType, asked := range required {
		for key, names := range g.Permissions {
			if key != entityType && !strings.HasPrefix(key, entityType+":") {
				continue
			}
			for _, n := range names {
				if slices.Contains(asked, n) {
					g.ABACRequired = merge(g.ABACRequired, map[string][]string{key: {n}})
				}
			}
		}
	}
}
