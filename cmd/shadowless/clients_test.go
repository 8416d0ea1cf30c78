package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestDiffClient(t *testing.T) {
	t.Parallel()
	old := api.ClientSpec{ID: "orders", Name: "Orders", Audiences: map[string]api.Audience{"billing": {Scopes: []string{"a"}}}}
	lines, err := diffClient(old, old, true)
	require.NoError(t, err)
	require.Empty(t, lines)
	next := api.ClientSpec{ID: "orders", Plan: "small", Audiences: map[string]api.Audience{"billing": {Scopes: []string{"a", "b"}}}}
	lines, err = diffClient(old, next, true)
	require.NoError(t, err)
	require.Equal(t, []string{
		`~ orders: audiences: {"billing":{"scopes":["a"]}} -> {"billing":{"scopes":["a","b"]}}`,
		`~ orders: name: - "Orders"`,
		`~ orders: plan: + "small"`,
	}, lines)
	lines, err = diffClient(api.ClientSpec{}, next, false)
	require.NoError(t, err)
	require.Equal(t, []string{"+ orders"}, lines)
}
