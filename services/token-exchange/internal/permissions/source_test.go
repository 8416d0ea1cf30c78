package permissions_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

type projected struct {
	grants []permissions.Grant
	err    error
}

func (p projected) GrantsOf(context.Context, string) ([]permissions.Grant, error) {
	return p.grants, p.err
}

var users = policy.Users{
	TenantID: "acme",
	Default: policy.Grants{
		Permissions:  map[string][]string{"order": {"read"}, "invoice": {"read", "refund"}},
		ABACRequired: map[string][]string{"invoice": {"refund"}},
	},
	Roles: map[string]policy.Grants{
		"auditor": {Permissions: map[string][]string{"order": {"list"}}},
		"boss":    {Permissions: map[string][]string{"invoice": {"refund"}}},
	},
	Relations: map[string]map[string][]string{"order": {"editor": {"update"}}, "invoice": {"customer": {"refund"}}},
}

func principal(t *testing.T, options ...authntest.TokenOption) *authn.Principal {
	t.Helper()
	iss := authntest.NewIssuer(t)
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{iss.Config("oidc")}}, authn.Options{Audiences: []string{"x"}, SkipRevocation: true})
	p, err := v.Verify(t.Context(), iss.UserToken("u1", append([]authntest.TokenOption{authntest.Audience("x")}, options...)...))
	require.NoError(t, err)
	return p
}

func TestConfigured_AddsUpWhatIsKnown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options   []authntest.TokenOption
		projected []permissions.Grant
		want      permissions.Grants
	}{
		"the default": {want: permissions.Grants{
			TenantID: "acme", Permissions: map[string][]string{"order": {"read"}, "invoice": {"read", "refund"}}, ABACRequired: map[string][]string{"invoice": {"refund"}},
		}},
		"a role": {options: []authntest.TokenOption{authntest.Claim("roles", []string{"auditor", "unknown"})}, want: permissions.Grants{
			TenantID: "acme", Permissions: map[string][]string{"order": {"list", "read"}, "invoice": {"read", "refund"}}, ABACRequired: map[string][]string{"invoice": {"refund"}},
		}},
		"a role does not take the condition away": {options: []authntest.TokenOption{authntest.Claim("roles", []string{"boss"})}, want: permissions.Grants{
			TenantID: "acme", Permissions: map[string][]string{"order": {"read"}, "invoice": {"read", "refund"}}, ABACRequired: map[string][]string{"invoice": {"refund"}},
		}},
		"nor does a relation": {projected: []permissions.Grant{
			{EntityType: "invoice", EntityID: "*", Relation: "customer"}, {EntityType: "invoice", EntityID: "i-1", Relation: "customer"},
		}, want: permissions.Grants{
			TenantID:     "acme",
			Permissions:  map[string][]string{"order": {"read"}, "invoice": {"customer", "read", "refund"}, "invoice:i-1": {"customer", "refund"}},
			ABACRequired: map[string][]string{"invoice": {"refund"}, "invoice:i-1": {"refund"}},
		}},
		"grants": {projected: []permissions.Grant{
			{EntityType: "order", EntityID: "*", Relation: "editor"}, {EntityType: "order", EntityID: "o-1", Relation: "viewer", Conditional: true},
		}, want: permissions.Grants{
			TenantID:     "acme",
			Permissions:  map[string][]string{"order": {"editor", "read", "update"}, "order:o-1": {"viewer"}, "invoice": {"read", "refund"}},
			ABACRequired: map[string][]string{"invoice": {"refund"}, "order:o-1": {"viewer"}},
		}},
		"a token that says it all": {
			options: []authntest.TokenOption{authntest.Permissions(map[string][]string{"order": {"place"}}), authntest.Tenant("globex"), authntest.Claim("roles", []string{"boss"})},
			want:    permissions.Grants{TenantID: "globex", Permissions: map[string][]string{"order": {"place"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := permissions.NewConfigured(users, projected{grants: tc.projected}).GrantsOf(t.Context(), principal(t, tc.options...), "")
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestConfigured_DoesNotGuess(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	_, err := permissions.NewConfigured(users, projected{err: down}).GrantsOf(t.Context(), principal(t), "")
	require.ErrorIs(t, err, down)
}
