// Package permissions says what a user may do and in which tenant, where the
// identity provider's token does not: from the token's claims, from configured
// defaults and roles, and from a projection of the provider's grants.
package permissions

import "slices"

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

// free takes away the ABAC requirement of permissions that something else
// grants without a condition.
func (g *Grants) free(unconditional map[string][]string) {
	for key, names := range g.ABACRequired {
		left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(unconditional[key], n) })
		if len(left) == 0 {
			delete(g.ABACRequired, key)
			continue
		}
		g.ABACRequired[key] = left
	}
}
