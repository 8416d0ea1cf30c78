package permissions_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

func model(t *testing.T, types map[string]settings.EntityType, hook string) *permissions.Model {
	t.Helper()
	m, err := permissions.NewModel(types, hook)
	require.NoError(t, err)
	return m
}

func grant(entityType, entityID, relation, tenant string) permissions.Tuple {
	return permissions.Tuple{SubjectType: permissions.SubjectUser, SubjectID: "u-1", EntityType: entityType, EntityID: entityID, Relation: relation, TenantID: tenant}
}

func TestRefundPolicyOfTheDemo(t *testing.T) {
	t.Parallel()
	m := model(t, settings.Default().Model, "")
	for name, test := range map[string]struct {
		relation string
		amount   any
		want     bool
	}{
		"a small amount":           {"customer", 5000.0, true},
		"a large amount":           {"customer", 5001.0, false},
		"a negative amount":        {"customer", -1.0, false},
		"an amount as text":        {"customer", "1", false},
		"no amount":                {"customer", nil, false},
		"a large amount for staff": {"staff", 900000.0, true},
		"another relation":         {"visitor", 1.0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := permissions.Question{
				SubjectType: permissions.SubjectUser, SubjectID: "u-1", EntityType: "client_shop:invoice", EntityID: "i-1", Permission: "refund",
				Resource: permissions.Resource{Attributes: map[string]any{"amount": test.amount}}, Now: time.Now(),
			}
			got, err := m.Allowed(context.Background(), q, []permissions.Tuple{grant("client_shop:invoice", "*", test.relation, "acme")})
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestOnlyTrueAllows(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`return true`: true, `return 1`: false, `return "true"`: false, `return {}`: false, `return false`: false, ``: false,
		`return error("x")`: false, `while true do end`: false,
		`return context.user.id == "u-1" and context.user.type == "user" and context.action == "do" and context.timestamp == 1500`: true,
		`return context.resource.amount == 7`: true,
	} {
		m := model(t, map[string]settings.EntityType{"client_a:b": {
			Relations: map[string][]string{"r": {"do"}}, Policies: map[string]string{"do": source},
		}}, "")
		got, err := m.Allowed(context.Background(), permissions.Question{
			SubjectType: "user", SubjectID: "u-1", EntityType: "client_a:b", EntityID: "1", Permission: "do", Now: time.UnixMilli(1500),
			Resource: permissions.Resource{Attributes: map[string]any{"amount": 7.0}}, FlatResource: true,
		}, []permissions.Tuple{grant("client_a:b", "1", "r", "acme")})
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

func TestGrantOnOneEntityHoldsForItAlone(t *testing.T) {
	t.Parallel()
	m := model(t, map[string]settings.EntityType{"client_a:b": {Relations: map[string][]string{"viewer": {"read"}}}}, "")
	for id, want := range map[string]bool{"1": true, "2": false, "*": false} {
		got, err := m.Allowed(context.Background(), permissions.Question{EntityType: "client_a:b", EntityID: id, Permission: "read"},
			[]permissions.Tuple{grant("client_a:b", "1", "viewer", "acme")})
		require.NoError(t, err)
		require.Equal(t, want, got, id)
	}
}

func TestTokenBuildCarriesTheActiveTenantAlone(t *testing.T) {
	t.Parallel()
	m := model(t, settings.Default().Model, "")
	claims, err := m.BuildClaims(context.Background(), permissions.Subject{ID: "u-1", ActiveTenant: "acme"}, []permissions.Tuple{
		grant("client_shop:order", "*", "customer", "acme"),
		grant("client_shop:invoice", "*", "customer", "acme"),
		grant("client_shop:invoice", "*", "staff", "globex"),
		grant("client_shop:order", "o-77", "viewer", "acme"),
	})
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"tenant_id": "acme",
		"permissions": map[string][]string{
			"client_shop:order":      {"place", "read", "cancel", "customer"},
			"client_shop:invoice":    {"read", "pay", "refund", "customer"},
			"client_shop:order:o-77": {"viewer"},
		},
		"abac_required": map[string][]string{"client_shop:invoice": {"refund"}},
	}, claims)
}

func TestTokenBuildOfAUserWithoutGrants(t *testing.T) {
	t.Parallel()
	claims, err := model(t, nil, "").BuildClaims(context.Background(), permissions.Subject{ID: "u", ActiveTenant: "acme"}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"tenant_id": "acme", "permissions": map[string][]string{}, "abac_required": map[string][]string{}}, claims)
}

func TestTokenBuildHookIsHeldToItsPlace(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]string{
		"another subject":       `return {tenant_id = "acme", sub = "somebody"}`,
		"no table":              `return "claims"`,
		"no tenant":             `return {}`,
		"permissions of a text": `return {tenant_id = "acme", permissions = {order = "read"}}`,
		"permissions of tables": `return {tenant_id = "acme", permissions = {order = {{}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := model(t, nil, hook).BuildClaims(context.Background(), permissions.Subject{}, nil)
			require.ErrorIs(t, err, permissions.ErrHook)
		})
	}
	_, err := model(t, nil, `while true do end`).BuildClaims(context.Background(), permissions.Subject{}, nil)
	require.ErrorContains(t, err, "instructions")
}

func TestModelReportsEveryBrokenScript(t *testing.T) {
	t.Parallel()
	_, err := permissions.NewModel(map[string]settings.EntityType{"client_a:b": {Policies: map[string]string{"do": "return ("}}}, "also (")
	require.ErrorContains(t, err, "client_a:b do")
	require.ErrorContains(t, err, "token_build")
}
