package faq

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/deciders"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// TestIdPDown: The identity provider is down. What still works?
//
// Every request with a live token, because a service verifies with keys that it holds in memory and, for its next start, on disk; the test restarts
// orders while the provider is away, and orders answers. Static permissions of the token keep working, service-to-service calls too, since token-exchange is another
// service with keys of its own: in the test it delegates for a token that nobody has shown it before. What stops is the provider's own: nobody can sign in, and nobody can refresh, so users drop out one by one as their tokens
// expire (15 minutes here; a longer life is more reach in an outage and more danger after a theft). A permission
// that must be asked for is refused with 503 and `Retry-After`, not allowed: [the whole table](architecture.md) says so for each part. When the provider is
// back, the next sign-in works without anybody restarting anything.
func TestIdPDown(t *testing.T) {
	t.Parallel()
	w := alone(t)
	c := w.newCustomer()
	order := w.paid(c.Person)
	unused := w.signIn(c.email, c.password)
	w.stop(devstack.DevIDP)

	w.place(unused) // orders has no delegated token for this one yet
	require.Equal(t, http.StatusOK, w.reads(c.Token))
	require.NoError(t, w.StopService(w.ctx(), devstack.Orders))
	require.NoError(t, w.StartService(w.ctx(), devstack.Orders))
	require.Equal(t, http.StatusOK, w.reads(c.Token), "with the key set on disk")
	w.place(c.Person)

	_, err := journey.SignIn(w.ctx(), w.Running, c.email, c.password)
	require.True(t, journey.Unreachable(err), "nobody signs in")
	require.True(t, journey.Unreachable(c.Refresh(w.ctx(), w.Running)), "nobody refreshes")
	asked := w.send(http.MethodPost, devstack.Billing, "/v1/invoices/"+order.InvoiceID.String()+"/refunds",
		map[string]int64{"amount_minor": 10_00}, "Authorization", "Bearer "+c.Token, "Idempotency-Key", "a-key-of-this-test")
	require.Equal(t, http.StatusServiceUnavailable, asked.StatusCode)
	require.NotEmpty(t, asked.Header.Get("Retry-After"))

	require.NoError(t, w.StartService(w.ctx(), devstack.DevIDP))
	require.NoError(t, c.Refresh(w.ctx(), w.Running))
	require.Equal(t, http.StatusOK, w.reads(c.Token))
	w.eventually("the refund is asked for and allowed", func() bool { return w.refund(c.Person, order, 10_00) == nil })
}

// TestFailOpen: check-permission is unreachable. May a route fail open?
//
// It can, by your decision and within bounds, and it is never the default. The service asks through an interface ([authn.Asker](../pkg/authn/ask.go)), and
// [deciders.StandIn](../examples/deciders) is ten lines: while the first cannot answer, a policy of the service itself does, one that allows what you can afford to be wrong about and
// denies the rest. Here small refunds go on and large ones do not. "Allow everything while the provider is down" is the one to avoid: then
// whoever can disturb the provider can pass every check. An answer of no stays a no; the stand-in is asked only when there was none.
// Billing can also decide refunds by itself at all times (`BILLING_REFUND_DECIDER=local`), which is what to take where the provider cannot answer for users.
func TestFailOpen(t *testing.T) {
	t.Parallel()
	idp := authntest.NewIssuer(t)
	p := principal(t, idp, authntest.Permissions(map[string][]string{"invoice": {"refund"}}), authntest.ABACRequired(map[string][]string{"invoice": {"refund"}}))
	var up bool
	check := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"allowed":false}`))
	}))
	t.Cleanup(check.Close)
	asked := authn.NewAutherAsker(check.URL, authn.AutherAskerOptions{FailuresToOpen: 100})
	small := authn.LocalPolicy(map[string]authn.PolicyFunc{"invoice:refund": func(_ context.Context, _ *authn.Principal, q authn.Question) (bool, error) {
		amount, ok := q.Attributes["amount"].(int)
		return ok && amount <= 20_00, nil
	}})
	refund := func(asker authn.Asker, amount int) error {
		return authn.Authorize(t.Context(), p, asker, authn.Question{
			EntityType: "invoice", EntityID: "i1", Permission: "refund", Attributes: map[string]any{"amount": amount},
		})
	}
	require.ErrorIs(t, refund(asked, 10_00), authn.ErrCannotAsk, "closed by default")
	bounded := deciders.StandIn(asked, small)
	require.NoError(t, refund(bounded, 10_00))
	require.ErrorIs(t, refund(bounded, 90_00), authn.ErrForbidden)
	up = true
	require.ErrorIs(t, refund(bounded, 10_00), authn.ErrForbidden, "a no of the provider counts")
}

// principal is a verified user of billing with the permissions of the options.
func principal(t *testing.T, idp *authntest.Issuer, options ...authntest.TokenOption) *authn.Principal {
	t.Helper()
	p, err := idp.Verifier(t, "billing").Verify(t.Context(), idp.UserToken("u", append(options, authntest.Audience("billing"))...))
	require.NoError(t, err)
	return p
}

// TestQueuedWebhooks: Are webhooks lost while we, or the provider, are down?
//
// No. [identity-relay](../services/identity-relay) answers 2xx only after its transaction has committed, and any other answer, or none, makes the provider repeat the delivery from its queue: after seconds, minutes, half an
// hour. In the test a user signs out everywhere while the relay is away, then the provider restarts as well, and the sign-out still arrives and kills the token. Three
// things make that safe: a delivery's ID is remembered for longer than any retry, so a repetition changes nothing; its timestamp is of the event and not of the attempt, so
// the accepted age must lie above the retry horizon (72 hours here); and what never arrives at all is found by reconciliation with the user list. Until the delivery arrives the
// token works, up to its 15 minutes: routes that must not wait for that [fail closed](access.md) when revocations are known to be stale.
func TestQueuedWebhooks(t *testing.T) {
	t.Parallel()
	w := alone(t)
	c := w.newCustomer()
	w.stop(devstack.IdentityRelay)
	require.NoError(t, c.Post(w.ctx(), "/api/auth/revoke-sessions", struct{}{}))
	require.Equal(t, http.StatusOK, w.reads(c.Token), "nobody has told the services")
	// A delivery that is on its way when the provider stops would wait 30 s for its lease.
	w.eventually("the delivery has failed once and is queued", w.counts(devstack.DevIDP, 1, `SELECT count(*) FROM webhook_deliveries
		WHERE event_type = 'session.deleted' AND attempts = 1 AND position(convert_to($1, 'UTF8') IN body) > 0 AND due_at < now() + interval '5 seconds'`, c.ID))
	w.stop(devstack.DevIDP)
	require.NoError(t, w.StartService(w.ctx(), devstack.IdentityRelay))
	require.NoError(t, w.StartService(w.ctx(), devstack.DevIDP))
	w.eventually("the sign-out arrives", func() bool { return w.reads(c.Token) == http.StatusUnauthorized })
}

// counts says whether a query in a service's database counts n.
func (w *world) counts(service string, n int, query string, args ...any) func() bool {
	w.t.Helper()
	pool, err := pgxpool.New(w.ctx(), w.database(service))
	require.NoError(w.t, err)
	w.t.Cleanup(pool.Close)
	return func() bool {
		var got int
		return pool.QueryRow(w.ctx(), query, args...).Scan(&got) == nil && got == n
	}
}

// TestKeySetFromCDN: Can the key set come from a CDN, so that our start does not depend on the provider?
//
// Yes: `jwks_urls` is a list that is tried in order, and any copy will do, because a key set is public. The
// test starts a verifier while the provider is down and a static copy is up, and a token verifies; then a third verifier starts with both of them down, from the
// key set that the first one left on disk (`KEY_SET_DIR`, or a NATS bucket where pods lose their disks). What may be cached is not what must be trusted: whoever can write to the copy can sign for your
// users, so it needs the provider's own write protection and TLS. A copy must follow a rotation before the new key signs; keep its age below
// the refresh interval of 5 minutes. [The configuration](configuration.md) also bounds how long an old set is believed: 72 hours.
func TestKeySetFromCDN(t *testing.T) {
	t.Parallel()
	idp := authntest.NewIssuer(t)
	keys := idp.JWKS()
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys) }))
	idp.Down()
	disk := authn.DirKeyStore(filepath.Join(t.TempDir(), "keys"))
	verify := func(urls ...string) func() bool {
		cfg := idp.Config("shadowless")
		cfg.JWKSURLs = urls
		v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{cfg}}, authn.Options{Audiences: []string{"orders"}, KeyStore: disk})
		return func() bool {
			_, err := v.Verify(t.Context(), idp.UserToken("u", authntest.Audience("orders")))
			return err == nil
		}
	}
	alone := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{idp.Config("shadowless")}}, authn.Options{Audiences: []string{"orders"}})
	_, err := alone.Verify(t.Context(), idp.UserToken("u", authntest.Audience("orders")))
	require.ErrorIs(t, err, authn.ErrKeysUnavailable, "without a copy")
	require.Eventually(t, verify(idp.JWKSURL(), cdn.URL), within, every)
	require.Eventually(t, func() bool {
		_, err := disk.Load(t.Context(), idp.Name())
		return err == nil
	}, within, every, "what was fetched is kept")
	cdn.Close()
	require.Eventually(t, verify(idp.JWKSURL(), cdn.URL), within, every, "from the disk")
}

// TestKeyRotation: The provider rotates its signing key in the middle of the day. Who notices?
//
// Nobody. A token with a key that a replica has not seen makes it fetch the key set, once for all requests that wait, while tokens of the old key are
// verified as before; the old key stays in the set for as long as tokens of it live. The test keeps orders and billing under requests, half of them with one old token and half with a token that was
// issued a moment ago, forces a rotation at the running provider in the middle of that, and allows no refusal. Made-up key IDs cannot turn this into a storm of fetches, nor delay the real rotation
// (`TestKeys_JunkNeitherStormsNorDelaysARotation`, [measured against other verifiers](../pkg/authn/README.md)). A key that is withdrawn, because it leaked, is distrusted 11 minutes later at most (refresh
// and `removed_trust`, `TestKeys_RemovedKeyBoundHoldsWithoutRequests`); make both shorter if that is too long. Our own issuer, token-exchange, publishes a key before it signs (`TestRotate_PublishesBeforeItSigns`).
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	ctx, stop := context.WithTimeout(w.ctx(), 2*within)
	answered := make(chan string, 64) // what was accepted lately
	var load sync.WaitGroup
	t.Cleanup(func() {
		stop()
		load.Wait()
	})
	use := func(next func() (string, error)) {
		load.Go(func() {
			defer stop()
			for ctx.Err() == nil {
				token, err := next()
				if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, w.reads(token), "orders") {
					return
				}
				if _, err = w.billing.Invoices(w.ctx(), token, 0, ""); !assert.NoError(t, err, "billing") {
					return
				}
				select {
				case answered <- token:
				default: // nobody waits for it
				}
			}
		})
	}
	for range 2 {
		session := w.signIn(c.email, c.password)
		use(func() (string, error) { return c.Token, nil })
		use(func() (string, error) {
			err := session.Authorize(w.ctx(), w.Running)
			return session.Token, err
		})
	}
	until := func(what string, n int, wanted func(token string) bool) {
		for n > 0 {
			select {
			case token := <-answered:
				if wanted(token) {
					n--
				}
			case <-ctx.Done():
				require.Fail(t, "no more answers", what)
			}
		}
	}
	before := keyID(t, c.Token)
	isNew := func(token string) bool { return keyID(t, token) != before }
	isOld := func(token string) bool { return token == c.Token }
	until("the old token is in use", 10, isOld)
	rotated := w.send(http.MethodPost, devstack.DevIDP, "/api/internal/rotate-jwks?force=true", nil, "X-Rotation-Secret", w.secret("idp-rotation"))
	require.Contains(t, body(t, rotated), `"rotated":true`)
	until("tokens of the new key are", 10, isNew)
	until("and so is the old token, still", cap(answered)+10, isOld)

	again := w.signIn(c.email, c.password)
	w.place(again) // token-exchange knows the new key, too
	published := body(t, w.send(http.MethodGet, devstack.DevIDP, "/api/auth/jwks", nil))
	require.Contains(t, published, before)
	require.Contains(t, published, keyID(t, again.Token))
}

// TestClockSkew: Our clocks differ. How much is tolerated?
//
// 30 seconds, either way: a token that was issued 29 seconds in the future is accepted, and one that expired 29 seconds ago, and with
// 31 neither. The leeway is one for all claims with a time and is no setting, because a larger one only lengthens the life of every stolen token. It is not granted where it would
// matter more than it helps: the age of a sign-in in a step-up is compared exactly. Webhooks have a bound of their own, 5 minutes ahead. `make faults` runs every service in turn with a
// clock that is 20 seconds off, under load, and nothing is lost ([faults](faults.md)). Run NTP, and alert at 10 seconds.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	start := time.Now().Truncate(time.Second)
	for _, c := range []struct {
		name string
		now  time.Time // of the service; the issuer's is start
		want error
	}{
		{"issued 29 s ahead", start.Add(-29 * time.Second), nil},
		{"issued 31 s ahead", start.Add(-31 * time.Second), authn.ErrNotYetValid},
		{"expired 29 s ago", start.Add(authntest.DefaultLifetime + 29*time.Second), nil},
		{"expired 31 s ago", start.Add(authntest.DefaultLifetime + 31*time.Second), authn.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			idp := authntest.NewIssuer(t, authntest.WithClock(authntest.NewClock(start)))
			v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{idp.Config("shadowless")}}, authn.Options{
				Audiences: []string{"orders"}, Now: authntest.NewClock(c.now).Now,
			})
			_, err := v.Verify(t.Context(), idp.UserToken("u", authntest.Audience("orders")))
			require.ErrorIs(t, err, c.want)
		})
	}
}
