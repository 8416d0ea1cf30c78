package permissions

import (
	"context"
	"maps"
	"slices"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

// Source says what the user of a verified token may do.
type Source interface {
	// GrantsOf returns what the user may do in a tenant; "" is the token's own.
	// The error is ErrNotAMember, or it is not known.
	GrantsOf(ctx context.Context, user *authn.Principal, tenant string) (Grants, error)
}

// Projection lists what the identity provider reported as granted to a user.
type Projection interface {
	GrantsOf(ctx context.Context, userID string) ([]Grant, error)
}

// Grant is one relation of a user to an entity.
type Grant struct {
	EntityType  string
	EntityID    string // "" or "*": every entity of the type
	Relation    string
	Conditional bool // a policy of the identity provider decides with the entity's attributes
}

// Configured is the Source of this service: a token that says what its user may
// do is believed; for others the configured default, the roles of the token and
// the projected grants add up.
type Configured struct {
	users      policy.Users
	projection Projection
}

var _ Source = (*Configured)(nil)

// NewConfigured makes it.
func NewConfigured(users policy.Users, projection Projection) *Configured {
	return &Configured{users: users, projection: projection}
}

// GrantsOf implements Source.
func (s *Configured) GrantsOf(ctx context.Context, user *authn.Principal, tenant string) (Grants, error) {
	g := Grants{TenantID: user.TenantID()}
	if g.TenantID == "" {
		g.TenantID = s.users.TenantID
	}
	if tenant != "" && tenant != g.TenantID {
		projected, err := s.projection.GrantsOf(ctx, user.UserID())
		if err != nil {
			return Grants{}, err
		}
		return s.elsewhere(projected, tenant)
	}
	if user.PermissionsAuthoritative() {
		g.add(user.Permissions(), user.ABACRequired())
		return g, nil
	}
	// What the verifier's own role mapping found is in Permissions.
	g.add(user.Permissions(), user.ABACRequired())
	add := func(from policy.Grants) { g.add(from.Permissions, from.ABACRequired) }
	add(s.users.Default)
	for _, role := range user.Roles() {
		add(s.users.Roles[role])
	}
	projected, err := s.projection.GrantsOf(ctx, user.UserID())
	if err != nil {
		return Grants{}, err
	}
	for _, p := range projected {
		if s.users.Tenants.EntityType == "" || p.EntityType != s.users.Tenants.EntityType {
			add(s.expand(p))
		}
	}
	if g.TenantID != "" {
		s.join(&g, s.memberships(projected, g.TenantID))
	}
	// The condition belongs to the permission: another way to the same
	// permission, such as a relation of the user, does not take it away.
	g.ask(s.users.Default.ABACRequired)
	return g, nil
}

// expand turns a relation into permissions: those configured for it, and, as
// the identity provider does, the relation's own name.
func (s *Configured) expand(g Grant) policy.Grants {
	key := g.EntityType
	if g.EntityID != "" && g.EntityID != "*" {
		key += ":" + g.EntityID
	}
	names := append(slices.Clone(s.users.Relations[g.EntityType][g.Relation]), g.Relation)
	out := policy.Grants{Permissions: map[string][]string{key: names}}
	if g.Conditional {
		out.ABACRequired = maps.Clone(out.Permissions)
	}
	return out
}
