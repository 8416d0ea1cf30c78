package admission_test

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/admission"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

// prover knows one key of one client and counts who asks.
type prover struct {
	key    string
	client api.ClientSpec
	asked  atomic.Int64
	refuse string
}

func (p *prover) Authenticate(_ context.Context, c clients.Credential) (clients.Proven, error) {
	p.asked.Add(1)
	if c.APIKey != p.key {
		return clients.Proven{}, &clients.RefusedError{Reason: clients.ReasonUnknown}
	}
	if p.refuse != "" {
		return clients.Proven{}, &clients.RefusedError{Reason: p.refuse, ClientID: p.client.ID, KeyID: id(c.APIKey)}
	}
	return clients.Proven{Client: &clients.Client{Client: api.Client{ClientSpec: p.client}}, KeyID: id(c.APIKey)}, nil
}

func id(key string) string {
	parsed, err := api.ParseKey(key)
	if err != nil {
		return ""
	}
	return parsed.ID()
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := api.GenerateKey("test")
	require.NoError(t, err)
	return key.Reveal()
}

const rules = `
audiences: {orders: {}, billing: {}}
limits: {key: {requests: 20, per: 1h}, refused: {requests: 5, per: 1h}}
plans:
  small: {limit: {requests: 3, per: 1h}, audiences: [orders]}
  large: {limit: {requests: 100, per: 1h}}
`

func setup(t *testing.T, spec api.ClientSpec) (*admission.Guard, *prover) {
	t.Helper()
	p, err := policy.Parse([]byte(rules))
	require.NoError(t, err)
	spec.ID = "partner"
	known := &prover{key: newKey(t), client: spec}
	at := time.Now()
	return admission.New(known, p, func() time.Time { return at }), known
}

func from(t *testing.T, address string) context.Context {
	t.Helper()
	return origin.NewContext(t.Context(), origin.Known(netip.MustParseAddr(address)))
}

func credential(key string) clients.Credential { return clients.Credential{APIKey: key} }

func limited(t *testing.T, err error, reason string) {
	t.Helper()
	var l *clients.LimitedError
	require.ErrorAs(t, err, &l)
	require.Equal(t, reason, l.Reason)
	require.Positive(t, l.RetryAfter)
}

func refused(t *testing.T, err error, reason string) {
	t.Helper()
	var r *clients.RefusedError
	require.ErrorAs(t, err, &r)
	require.Equal(t, reason, r.Reason)
}

func TestGuard_H5_ManyAtOnceGetThePlansLimitAndNoMore(t *testing.T) {
	t.Parallel()
	for plan, want := range map[string]int64{"small": 3, "": 20} {
		g, known := setup(t, api.ClientSpec{Plan: plan})
		var passed atomic.Int64
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if _, err := g.Authenticate(from(t, "192.0.2.1"), credential(known.key)); err == nil {
					passed.Add(1)
				}
			})
		}
		all.Wait()
		require.Equal(t, want, passed.Load(), plan)
	}
}

func TestGuard_ALargerPlanIsLearntFromAProof(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{Plan: "large"})
	for i := range 90 { // the first one was counted at everybody's rate
		_, err := g.Authenticate(from(t, "192.0.2.1"), credential(known.key))
		require.NoError(t, err, i)
	}
}

func TestGuard_UnknownKeysAreLimitedAlike(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{})
	unknown := newKey(t)
	for i := range 20 { // from everywhere, so that no address is over its limit
		_, err := g.Authenticate(from(t, "192.0.2."+strconv.Itoa(i)), credential(unknown))
		refused(t, err, clients.ReasonUnknown)
	}
	_, err := g.Authenticate(from(t, "192.0.2.200"), credential(unknown))
	limited(t, err, admission.LimitedKey)
	require.EqualValues(t, 20, known.asked.Load(), "beyond the limit nothing is looked up")
}

func TestGuard_FailuresFromOneAddress(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{})
	good := from(t, "192.0.2.1")
	_, err := g.Authenticate(good, credential(known.key))
	require.NoError(t, err)
	for range 5 {
		_, err := g.Authenticate(good, credential("not a key"))
		refused(t, err, clients.ReasonUnknown)
	}
	asked := known.asked.Load()
	_, err = g.Authenticate(good, credential("not a key"))
	limited(t, err, admission.LimitedAddress)
	_, err = g.Authenticate(good, credential(newKey(t)))
	limited(t, err, admission.LimitedAddress)
	require.Equal(t, asked, known.asked.Load())
	_, err = g.Authenticate(good, credential(known.key))
	require.NoError(t, err, "a key that was proven there is not locked out by others")
	_, err = g.Authenticate(from(t, "192.0.2.2"), credential(newKey(t)))
	refused(t, err, clients.ReasonUnknown)
}

func TestGuard_H4_Addresses(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{AllowedAddresses: []string{"192.0.2.0/28", "2001:db8::/32"}})
	for _, good := range []string{"192.0.2.15", "2001:db8::1"} {
		_, err := g.Authenticate(from(t, good), credential(known.key))
		require.NoError(t, err)
	}
	_, err := g.Authenticate(from(t, "192.0.2.16"), credential(known.key))
	refused(t, err, clients.ReasonAddress)
	_, err = g.Authenticate(t.Context(), credential(known.key))
	refused(t, err, clients.ReasonAddress)
	known.client.AllowedAddresses = []string{"nonsense"}
	_, err = g.Authenticate(from(t, "192.0.2.1"), credential(known.key))
	refused(t, err, clients.ReasonAddress)
}

func TestGuard_ThePlanTakesAudiencesAway(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{Plan: "small", Audiences: map[string]api.Audience{"orders": {}, "billing": {}}})
	proven, err := g.Authenticate(from(t, "192.0.2.1"), credential(known.key))
	require.NoError(t, err)
	require.Equal(t, map[string]api.Audience{"orders": {}}, proven.Client.Audiences)
	require.Len(t, known.client.Audiences, 2)
	known.client.Plan = "gone"
	_, err = g.Authenticate(from(t, "192.0.2.1"), credential(known.key))
	refused(t, err, clients.ReasonPlan)
}

func TestGuard_HolderIsWhoeverHasTheKey(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{AllowedAddresses: []string{"192.0.2.0/28"}})
	for _, state := range []string{"", clients.ReasonBlocked, clients.ReasonExpired, clients.ReasonRevoked} {
		known.refuse = state
		client, key, err := g.Holder(from(t, "198.51.100.1"), known.key)
		require.NoError(t, err, state)
		require.Equal(t, "partner", client)
		require.Equal(t, id(known.key), key)
	}
	known.refuse = clients.ReasonWrongSecret
	_, _, err := g.Holder(from(t, "198.51.100.1"), known.key)
	refused(t, err, clients.ReasonWrongSecret)
}

func TestGuard_RemembersABoundedNumberOfStrangers(t *testing.T) {
	t.Parallel()
	g, known := setup(t, api.ClientSpec{})
	key, err := api.ParseKey(known.key)
	require.NoError(t, err)
	require.NotEmpty(t, key.ID())
	for i := range 200_000 {
		ctx := origin.NewContext(t.Context(), origin.Known(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})))
		_, err := g.Authenticate(ctx, credential("x"))
		require.Error(t, err)
	}
	require.LessOrEqual(t, g.Remembered(), 1<<16)
}
