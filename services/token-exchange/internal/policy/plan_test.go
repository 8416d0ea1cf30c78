package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/throttle"
)

func TestPlans(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse([]byte(`
audiences: {orders: {}, billing: {}}
limits: {refused: {requests: 3, per: 1h}}
keys: {max_overlap: 1h}
plans:
  partner: {limit: {requests: 60, per: 1m}, audiences: [orders], max_key_age: 720h}
  closed: {audiences: []}
`))
	require.NoError(t, err)
	require.Equal(t, throttle.Quota{Requests: 3, Per: time.Hour}, p.Limits.Refused)
	require.Equal(t, throttle.Quota{Requests: 6000, Per: time.Minute}, p.Limits.Key, "what is not said stays")
	require.Equal(t, policy.KeyRules{MaxAge: 2160 * time.Hour, MaxOverlap: time.Hour}, p.Keys)

	plan, err := p.PlanOf("partner")
	require.NoError(t, err)
	require.Equal(t, policy.Plan{Limit: throttle.Quota{Requests: 60, Per: time.Minute}, Audiences: []string{"orders"}, MaxKeyAge: 720 * time.Hour}, plan)
	plan, err = p.PlanOf("")
	require.NoError(t, err)
	require.Equal(t, policy.Plan{Limit: p.Limits.Key, MaxKeyAge: p.Keys.MaxAge}, plan)
	_, err = p.PlanOf("gone")
	require.ErrorIs(t, err, policy.ErrUnknownPlan)

	spec := func(plan string, audiences ...string) api.ClientSpec {
		s := api.ClientSpec{ID: "x", Plan: plan, Audiences: map[string]api.Audience{}}
		for _, a := range audiences {
			s.Audiences[a] = api.Audience{}
		}
		return s
	}
	require.NoError(t, p.CheckClient(spec("partner", "orders")))
	require.NoError(t, p.CheckClient(spec("", "orders", "billing")))
	require.ErrorContains(t, p.CheckClient(spec("partner", "orders", "billing")), "audiences.billing")
	require.Error(t, p.CheckClient(spec("closed", "orders")))
	require.ErrorIs(t, p.CheckClient(spec("gone")), policy.ErrUnknownPlan)
}

func TestPlans_Faults(t *testing.T) {
	t.Parallel()
	_, err := policy.Parse([]byte(`
audiences: {orders: {}}
limits: {key: {requests: -5}}
keys: {max_age: -1h}
plans: {a: {limit: {per: 1m}}, b: {max_key_age: -1s}}
`))
	for _, fault := range []string{"limits.key", "max_age", "plans.a.limit", "plans.b.max_key_age"} {
		require.ErrorContains(t, err, fault)
	}
}
