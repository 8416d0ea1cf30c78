package conformance_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// overlap: a rotated key goes on until its deadline, on every replica, and not a
// moment longer.
func overlap(t *testing.T, d *deployment) {
	id, old := d.register(t, api.ClientSpec{})
	for _, r := range []*replica{d.a, d.b} { // whatever caches there are know the key
		d.post(t, r.url+"/oauth/token", basic(id, old.Secret), credentials()).token(t)
	}
	next, err := d.admin.RotateKey(t.Context(), id, old.ID, api.RotateKey{OverlapSeconds: 3})
	require.NoError(t, err)
	d.remember(id+"/next", next.Secret)
	deadline := d.expiry(t, id, old.ID)
	var granted, refused int
	for refused < 20 {
		require.Less(t, time.Since(deadline), 10*time.Second)
		for _, r := range []*replica{d.a, d.b} {
			sent := time.Now()
			status := d.post(t, r.url+"/oauth/token", basic(id, old.Secret), credentials()).status
			switch answered := time.Now(); {
			case answered.Before(deadline):
				require.Equal(t, http.StatusOK, status, "within the overlap")
				granted++
			case !sent.Before(deadline):
				require.Equal(t, http.StatusUnauthorized, status, "at the deadline and after it")
				refused++
			}
		}
	}
	require.NotZero(t, granted)
	for _, r := range []*replica{d.a, d.b} {
		d.post(t, r.url+"/oauth/token", basic(id, next.Secret), credentials()).token(t)
	}
	// No overlap at all.
	last, err := d.admin.RotateKey(t.Context(), id, next.ID, api.RotateKey{})
	require.NoError(t, err)
	d.remember(id+"/last", last.Secret)
	d.post(t, d.a.url+"/oauth/token", basic(id, next.Secret), credentials()).refused(t, 401, "invalid_client")
	require.Eventually(t, func() bool {
		return d.post(t, d.b.url+"/oauth/token", basic(id, next.Secret), credentials()).status == http.StatusUnauthorized
	}, published, meshtest.Every, "where it was not said, within the bound of every block")
	for _, r := range []*replica{d.a, d.b} {
		d.post(t, r.url+"/oauth/token", basic(id, last.Secret), credentials()).token(t)
	}
}

func (d *deployment) expiry(t *testing.T, id, keyID string) time.Time {
	t.Helper()
	keys, err := d.admin.Keys(t.Context(), id)
	require.NoError(t, err)
	for _, k := range keys {
		if k.ID == keyID && k.ExpiresAt != nil {
			return *k.ExpiresAt
		}
	}
	require.Fail(t, "the key has no deadline")
	return time.Time{}
}

// withoutNATS is the bound within which a block holds everywhere while NATS is down.
const withoutNATS = 15 * time.Second

// blocked: on whichever replica it is done, on every one it holds.
func blocked(t *testing.T, _ *deployment) {
	d := deploy(t)
	for _, down := range []bool{false, true} {
		bound := published
		if down {
			bound = withoutNATS
		}
		d.within(t, bound, func() func() bool {
			id, key := d.register(t, api.ClientSpec{})
			who := basic(id, key.Secret)
			for _, r := range []*replica{d.a, d.b} {
				d.post(t, r.url+"/oauth/token", who, credentials()).token(t)
			}
			if down {
				d.Broker.Stop()
				t.Cleanup(d.Broker.Start)
			}
			d.block(t, id, "under test") // the operator talks to the first
			return func() bool {
				return d.post(t, d.b.url+"/oauth/token", who, credentials()).status == http.StatusUnauthorized
			}
		})
	}
}

// addresses: who may come from few places comes from there or not at all, and
// what a stranger writes into a header moves nobody.
func addresses(t *testing.T, d *deployment) {
	from := func(r *replica, who authorize, header ...string) answer {
		return d.post(t, r.url+"/oauth/token", func(req *http.Request) {
			who(req)
			for _, value := range header {
				req.Header.Add("X-Forwarded-For", value)
			}
		}, credentials())
	}
	inside, insideKey := d.register(t, api.ClientSpec{AllowedAddresses: []string{"127.0.0.0/8"}})
	outside, outsideKey := d.register(t, api.ClientSpec{AllowedAddresses: []string{"192.0.2.0/24"}})
	in, out := basic(inside, insideKey.Secret), basic(outside, outsideKey.Secret)

	from(d.a, in).token(t)
	from(d.a, out).refused(t, 401, "invalid_client")
	for _, forged := range []string{"192.0.2.1", "192.0.2.1, 127.0.0.1", "127.0.0.1, 192.0.2.1"} {
		from(d.a, out, forged).refused(t, 401, "invalid_client")
		from(d.a, in, forged).token(t)
	}
	// Behind a proxy that is trusted, the nearest address that is no proxy's counts.
	behind := d.start(func(c *tokenexchange.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	from(behind, out, "192.0.2.1").token(t)
	from(behind, out, "192.0.2.1, 198.51.100.7").refused(t, 401, "invalid_client")
	from(behind, out, "192.0.2.1", "198.51.100.7").refused(t, 401, "invalid_client")
	// Where it is not certain, it is refused.
	for _, who := range []authorize{in, out} {
		from(behind, who).refused(t, 401, "invalid_client")
		from(behind, who, "unknown").refused(t, 401, "invalid_client")
		from(behind, who, "192.0.2.1, garbage").refused(t, 401, "invalid_client")
	}
}

// limits: however many ask at once, no more pass than the limit says; by the ID
// that is presented, whether there is such a key or not.
func limits(t *testing.T, d *deployment) {
	id, key := d.register(t, api.ClientSpec{Plan: "ten"})
	granted, limited := d.storm(t, basic(id, key.Secret))
	require.LessOrEqual(t, granted[http.StatusOK], 10)
	require.NotZero(t, granted[http.StatusOK])
	require.Equal(t, storm, granted[http.StatusOK]+limited)
	// Others are not held up.
	other, otherKey := d.register(t, api.ClientSpec{Plan: "ten"})
	d.send(t, basic(other, otherKey.Secret), credentials()).token(t)

	strict := prepare(t, func(c *tokenexchange.Config) {
		c.PolicyFile = d.File("policy.yaml", strings.Replace(policyYAML, "key: {requests: 1000000, per: 1m}", "key: {requests: 10, per: 1h}", 1))
	})
	strict.a = strict.start()
	for _, who := range []authorize{basic("orders", withSecret(t, strict.Keys["orders"])), basic("orders", stranger(t)), basic("nobody", stranger(t))} {
		refused, limited := strict.storm(t, who)
		require.Equal(t, 10, refused[http.StatusUnauthorized])
		require.Equal(t, storm-10, limited)
	}
}

// storm is how many callers ask at once.
const storm = 100

// storm sends them and counts what is answered; who is over the limit must be
// told when to come back.
func (d *deployment) storm(t *testing.T, who authorize) (answered map[int]int, limited int) {
	t.Helper()
	answers := make([]answer, storm)
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range storm {
		done.Go(func() {
			<-start
			answers[i] = d.send(t, who, credentials())
		})
	}
	close(start)
	done.Wait()
	answered = map[int]int{}
	for _, a := range answers {
		if a.status != http.StatusTooManyRequests {
			answered[a.status]++
			continue
		}
		limited++
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		require.NoError(t, err)
		require.Positive(t, seconds)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.NotContains(t, a.raw, "access_token")
	}
	return answered, limited
}
