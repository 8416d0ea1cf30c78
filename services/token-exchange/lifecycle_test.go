package tokenexchange_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// startWithPolicy starts the service with more in its policy.
func startWithPolicy(t *testing.T, more string) *world {
	t.Helper()
	return start(t, with(func(c *tokenexchange.Config) { c.PolicyFile = write(t, "policy.yaml", policyYAML+more) }))
}

// TestRotation_H2 goes through an overlap on two replicas.
func TestRotation_H2(t *testing.T) {
	t.Parallel()
	w := startWithPolicy(t, "keys: {max_overlap: 1h}\n")
	ctx, admin := t.Context(), w.admin(t)
	first := w.Front.Load()
	w.run()
	second := w.Front.Load()
	require.NotEqual(t, first, second)
	both := func(key string) (codes []int) {
		for _, replica := range []string{first.String(), second.String()} {
			codes = append(codes, w.sendTo(replica, basic("orders", key), credentials()).status)
		}
		return codes
	}
	old, err := admin.CreateKey(ctx, "orders", api.NewKey{})
	require.NoError(t, err)
	began := time.Now()
	next, err := admin.RotateKey(ctx, "orders", old.ID, api.RotateKey{OverlapSeconds: 2})
	require.NoError(t, err)
	require.Equal(t, api.KeyActive, next.State)
	require.Equal(t, []int{200, 200}, both(next.Secret))
	codes := both(old.Secret)
	require.Less(t, time.Since(began), 2*time.Second, "too slow to look inside the overlap")
	require.Equal(t, []int{200, 200}, codes, "within the overlap")
	keys, err := admin.Keys(ctx, "orders")
	require.NoError(t, err)
	for _, k := range keys {
		if k.ID == old.ID {
			require.Equal(t, next.ID, k.ReplacedBy)
			require.WithinDuration(t, began.Add(2*time.Second), *k.ExpiresAt, time.Second)
		}
	}
	_, err = admin.RotateKey(ctx, "orders", old.ID, api.RotateKey{})
	requireCode(t, err, 409, "key-ended")
	require.Eventually(t, func() bool { c := both(old.Secret); return c[0] == 401 && c[1] == 401 }, meshtest.Within, meshtest.Every)
	require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
	status, err := admin.KeyStatus(ctx, old.Secret)
	require.NoError(t, err)
	require.Equal(t, api.KeyExpired, status.State)
	require.Equal(t, next.ID, status.ReplacedBy)

	last, err := admin.RotateKey(ctx, "orders", next.ID, api.RotateKey{OverlapSeconds: 0})
	require.NoError(t, err)
	require.Equal(t, 401, both(next.Secret)[1], "no overlap: at once where it was said")
	require.Eventually(t, func() bool { return both(next.Secret)[0] == 401 }, overNATS, meshtest.Every, "and soon elsewhere")
	require.Equal(t, []int{200, 200}, both(last.Secret))
	for _, overlap := range []int64{-1, 3601, 1 << 62} {
		_, err = admin.RotateKey(ctx, "orders", last.ID, api.RotateKey{OverlapSeconds: overlap})
		requireCode(t, err, 422, "overlap-too-long")
	}
	_, err = admin.RotateKey(ctx, "orders", last.ID, api.RotateKey{OverlapSeconds: 3600})
	require.NoError(t, err)
	_, err = admin.RotateKey(ctx, "billing", last.ID, api.RotateKey{})
	requireCode(t, err, 404, "not-found")
}

// sendTo asks one replica, past the address in front.
func (w *world) sendTo(base string, authorize func(*http.Request), form interface{ Encode() string }) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, base+"/oauth/token", strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	authorize(req)
	return w.do(req)
}

func TestRotation_OfSeveralAtOnceOneWins(t *testing.T) {
	t.Parallel()
	w := start(t)
	admin := w.admin(t)
	old, err := admin.CreateKey(t.Context(), "orders", api.NewKey{})
	require.NoError(t, err)
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := admin.RotateKey(context.WithoutCancel(t.Context()), "orders", old.ID, api.RotateKey{OverlapSeconds: 60}); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, won)
}

// TestHolder_F8 has a leaked key revoked by whoever found it.
func TestHolder_F8(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin, holder := t.Context(), w.admin(t), w.adminAs(t, "")
	leaked, err := admin.CreateKey(ctx, "orders", api.NewKey{})
	require.NoError(t, err)
	status, err := holder.KeyStatus(ctx, leaked.Secret)
	require.NoError(t, err)
	require.Equal(t, api.KeyStatus{ClientID: "orders", KeyID: leaked.ID, State: api.KeyActive}, status)

	unknown, err := api.GenerateKey("test")
	require.NoError(t, err)
	for _, wrong := range []string{"", "x", unknown.Reveal(), reseal(t, leaked.Secret, unknown.Reveal())} {
		_, err = holder.KeyStatus(ctx, wrong)
		requireCode(t, err, 404, "key-unknown")
		_, err = holder.RevokeHeldKey(ctx, wrong)
		requireCode(t, err, 404, "key-unknown")
	}
	w.send(basic("orders", leaked.Secret), credentials()).token(t)
	w.audited(t, "grant_type = 'key_revocation' AND reason = 'wrong_secret' AND key_id = $1", leaked.ID)

	for range 2 {
		status, err = holder.RevokeHeldKey(ctx, leaked.Secret)
		require.NoError(t, err)
		require.Equal(t, api.KeyRevoked, status.State)
		require.NotNil(t, status.RevokedAt)
	}
	w.send(basic("orders", leaked.Secret), credentials()).refused(t, 401, "invalid_client")
	w.send(w.As("orders"), credentials()).token(t)
	changes, err := admin.Changes(ctx, api.AuditQuery{KeyID: leaked.ID})
	require.NoError(t, err)
	require.Equal(t, "holder", changes.Changes[0].Actor)
}

// TestBlock_TheClientSeesWhy: at the token endpoint a blocked client looks like
// any other; whoever holds its key is told.
func TestBlock_TheClientSeesWhy(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin := t.Context(), w.admin(t)
	yes, reason := true, "unpaid since March"
	_, err := admin.ChangeClient(ctx, "many", api.ClientPatch{Blocked: &yes, BlockReason: &reason})
	require.NoError(t, err)
	w.send(w.As("many"), credentials()).refused(t, 401, "invalid_client")
	status, err := w.adminAs(t, "").KeyStatus(ctx, w.Keys["many"])
	require.NoError(t, err)
	require.Equal(t, api.KeyBlocked, status.State)
	require.Equal(t, reason, status.BlockReason)
}

func TestKeys_ImportedAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin := t.Context(), w.admin(t)
	key, err := api.GenerateKey("live")
	require.NoError(t, err)
	for range 2 {
		stored, err := admin.ImportKey(ctx, "orders", key)
		require.NoError(t, err)
		require.Equal(t, key.ID(), stored.ID)
	}
	w.send(basic("orders", key.Reveal()), credentials()).token(t)
	_, err = admin.ImportKey(ctx, "billing", key)
	requireCode(t, err, 409, "key-taken")
	_, err = admin.ImportKey(ctx, "nobody", key)
	requireCode(t, err, 404, "not-found")
	require.NoError(t, admin.RevokeKey(ctx, "orders", key.ID()))
	stored, err := admin.ImportKey(ctx, "orders", key)
	require.NoError(t, err)
	require.Equal(t, api.KeyRevoked, stored.State, "an import revives nothing")
	changes, err := admin.Changes(ctx, api.AuditQuery{KeyID: key.ID()})
	require.NoError(t, err)
	require.Len(t, changes.Changes, 2, "one import, one revocation")
}

func TestKeys_OlderThanThePlanWants(t *testing.T) {
	t.Parallel()
	w := startWithPolicy(t, "keys: {max_age: 24h}\nplans: {patient: {max_key_age: 480h}}\n")
	ctx, admin := t.Context(), w.admin(t)
	for _, client := range []string{"orders", "billing"} {
		_, err := w.Database.Owner.Exec(ctx, "UPDATE api_keys SET created_at = now() - interval '10 days' WHERE client_id = $1", client)
		require.NoError(t, err)
	}
	patient := "patient"
	_, err := admin.ChangeClient(ctx, "billing", api.ClientPatch{Plan: &patient})
	require.NoError(t, err)
	for client, overdue := range map[string]bool{"orders": true, "billing": false, "console": false} {
		keys, err := admin.Keys(ctx, client)
		require.NoError(t, err)
		require.Equal(t, overdue, keys[0].Overdue, client)
	}
	w.send(w.As("orders"), credentials()).token(t) // it still works
	w.service.Stop()
	w.run()
	require.Eventually(t, func() bool { return strings.Contains(w.log.String(), "an API key is older than it should become") }, meshtest.Within, meshtest.Every)
	require.Contains(t, w.log.String(), `"client_id":"orders"`)
}

// TestPlans_LimitAKey is H5: N at once get the plan's limit and no more.
func TestPlans_LimitAKey(t *testing.T) {
	t.Parallel()
	w := startWithPolicy(t, `
plans:
  partner: {limit: {requests: 10, per: 1h}, audiences: [orders]}
`)
	ctx, admin := t.Context(), w.admin(t)
	_, err := admin.CreateClient(ctx, api.ClientSpec{ID: "acme", Plan: "partner", Audiences: map[string]api.Audience{"billing": {}}})
	requireCode(t, err, 422, "invalid-client")
	_, err = admin.CreateClient(ctx, api.ClientSpec{ID: "acme", Plan: "gone"})
	requireCode(t, err, 422, "invalid-client")
	_, err = admin.CreateClient(ctx, api.ClientSpec{ID: "acme", Plan: "partner", Audiences: map[string]api.Audience{"orders": {}}})
	require.NoError(t, err)
	key, err := admin.CreateKey(ctx, "acme", api.NewKey{})
	require.NoError(t, err)
	answers := make([]answer, 60)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.send(basic("acme", key.Secret), credentials()) })
	}
	all.Wait()
	passed := 0
	for _, a := range answers {
		if a.status == http.StatusOK {
			passed++
			continue
		}
		a.refused(t, 429, "temporarily_unavailable")
		require.Regexp(t, `^\d+$`, a.header.Get("Retry-After"))
	}
	require.Equal(t, 10, passed)
	b := w.auther(http.MethodPost, `{"apiKey":"`+key.Secret+`"}`, nil)
	require.Equal(t, 429, b.status, b.raw)
	require.Equal(t, 51, w.countedUpTo(t, 51, "reason = 'plan_limit' AND key_id = $1", key.ID))
	w.send(w.As("orders"), credentials()).token(t)
}

// TestLimits_UnknownKeysAndAddresses costs a stranger the same whatever exists.
func TestLimits_UnknownKeysAndAddresses(t *testing.T) {
	t.Parallel()
	w := startWithPolicy(t, "limits: {key: {requests: 30, per: 1h}, refused: {requests: 20, per: 1h}}\n")
	w.send(w.As("orders"), credentials()).token(t)
	unknown, err := api.GenerateKey("test")
	require.NoError(t, err)
	for range 20 {
		w.send(basic("orders", unknown.Reveal()), credentials()).refused(t, 401, "invalid_client")
	}
	w.send(basic("orders", unknown.Reveal()), credentials()).refused(t, 429, "temporarily_unavailable")
	w.send(basic("orders", "malformed"), credentials()).refused(t, 429, "temporarily_unavailable")
	w.send(w.As("orders"), credentials()).token(t)
	w.counted(t, "reason = 'address_limit' AND address = '127.0.0.1'")
}

func TestAddresses_H4(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *tokenexchange.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} }))
	ctx := t.Context()
	admin := w.admin(t)
	networks := []string{"198.51.100.0/24"}
	_, err := admin.CreateClient(ctx, api.ClientSpec{ID: "acme", AllowedAddresses: networks, Audiences: map[string]api.Audience{"orders": {}}})
	require.NoError(t, err)
	_, err = admin.CreateClient(ctx, api.ClientSpec{ID: "bad", AllowedAddresses: []string{"198.51.100.1"}})
	requireCode(t, err, 422, "invalid-client")
	key, err := admin.CreateKey(ctx, "acme", api.NewKey{})
	require.NoError(t, err)
	direct := w.Front.Load().String()
	from := func(forwarded string) answer {
		return w.sendTo(direct, func(r *http.Request) {
			basic("acme", key.Secret)(r)
			if forwarded != "" {
				r.Header.Set("X-Forwarded-For", forwarded)
			}
		}, credentials())
	}
	from("198.51.100.7").token(t)
	from("203.0.113.9, 198.51.100.7").token(t)
	for _, outside := range []string{"203.0.113.9", "198.51.100.7, 203.0.113.9", "", "unknown", "198.51.100.7, unknown"} {
		from(outside).refused(t, 401, "invalid_client")
	}
	w.audited(t, "reason = 'address_not_allowed' AND address = '203.0.113.9'")
	w.audited(t, "reason = 'address_not_allowed' AND address = ''")
	w.audited(t, "granted AND address = '198.51.100.7'")
}

// countedUpTo waits until the refusals add up to n.
func (w *world) countedUpTo(t *testing.T, n int, where string, args ...any) (got int) {
	t.Helper()
	require.Eventually(t, func() bool { got = w.counted(t, where, args...); return got >= n }, meshtest.Within, meshtest.Every)
	return got
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
