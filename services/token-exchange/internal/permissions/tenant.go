package permissions

import (
	"errors"
)

// ErrNotAMember: the user does not belong to the tenant.
var ErrNotAMember = errors.New("the user does not belong to the tenant")

// memberships are the user's relations to one tenant, or to any for "". What a
// condition decides elsewhere is none, nor is a relation to all tenants at once.
func (s *Configured) memberships(projected []Grant, tenant string) []Grant {
	var found []Grant
	for _, g := range projected {
		if s.users.Tenants.EntityType == "" || g.EntityType != s.users.Tenants.EntityType ||
			g.Conditional || g.EntityID == "" || g.EntityID == "*" || (tenant != "" && g.EntityID != tenant) {
			continue
		}
		if _, listed := s.users.Tenants.Relations[g.Relation]; listed {
			found = append(found, g)
		}
	}
	return found
}

// elsewhere is what a user may do in another tenant than the token's: what
// everybody may, and what the memberships there add. The token's own permissions
// and roles belong to its tenant and stay there.
func (s *Configured) elsewhere(projected []Grant, tenant string) (Grants, error) {
	members := s.memberships(projected, tenant)
	if len(members) == 0 {
		return Grants{}, ErrNotAMember
	}
	g := Grants{TenantID: tenant}
	g.add(s.users.Default.Permissions, s.users.Default.ABACRequired)
	s.join(&g, members)
	g.ask(s.users.Default.ABACRequired)
	return g, nil
}

func (s *Configured) join(g *Grants, members []Grant) {
	for _, m := range members {
		adds := s.users.Tenants.Relations[m.Relation]
		g.add(adds.Permissions, adds.ABACRequired)
	}
}
