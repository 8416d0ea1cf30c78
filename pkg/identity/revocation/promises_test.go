package revocation_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// A replica that called itself ready with half of the bucket would let in what
// the other half forbids.
func TestFeed_IsNotLoadedBeforeTheLastEntry(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const entries = 500
	all := make([]authn.Revocation, entries)
	for i := range all {
		all[i] = block(strconv.Itoa(i), time.Now())
	}
	w.put(all...)
	list, _ := newList()
	var early atomic.Int64
	list.OnRevoke(func(authn.Revocation) {
		if list.Loaded() {
			early.Add(1)
		}
	})
	w.feed(list)
	require.Eventually(t, list.Loaded, within, every)
	require.Equal(t, entries, list.Len())
	require.Zero(t, early.Load(), "it was loaded while entries still came")
}

// With the defaults, as services run it: the server forgets the watch's consumer
// and tells nobody. What is revoked meanwhile arrives through the next watch.
func TestFeed_NoticesADeadWatchWithinThreeSeconds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, seen := newList()
	w.feed(list, func(c *revocation.FeedConfig) { c.Interval, c.DeadAfter = 0, 0 })
	w.fresh(list, 2*time.Second)
	ctx := context.Background()
	stream, err := w.broker.JetStream.Stream(ctx, "KV_"+revocation.DefaultBucket)
	require.NoError(t, err)
	consumers := stream.ListConsumers(ctx)
	forgotten := 0
	for c := range consumers.Info() {
		require.NoError(t, stream.DeleteConsumer(ctx, c.Name))
		forgotten++
	}
	require.NoError(t, consumers.Err())
	require.Equal(t, 1, forgotten)

	died := time.Now()
	w.put(block("meanwhile", time.Now()))
	require.Eventually(t, func() bool { return list.Len() == 1 }, within, every)
	require.Greater(t, time.Since(died), time.Second, "the watch was not dead, so this shows nothing")
	// 3 s of silence and what it takes to look, wait and load again.
	require.Less(t, time.Since(died), 5*time.Second)
	require.Equal(t, authn.BlockedUser, seen.last().Kind)
	w.fresh(list, 2*time.Second)
}

// While NATS is away a route goes on serving until its own limit, then refuses
// or, if it chose to, never does.
func TestFeed_PostureAppliesAfterTheRoutesLimit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	issuer := authntest.NewIssuer(t)
	verifier := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{issuer.Config("shadowless")}},
		authn.Options{Audiences: []string{"orders"}, Revocations: list})
	token := issuer.UserToken("alice", authntest.Audience("orders"))
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ask := func(h http.Handler) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		return answer.Code
	}
	const limit = time.Second
	closed, open := verifier.Require(done, authn.Fresh(limit)), verifier.Require(done)
	require.Equal(t, http.StatusServiceUnavailable, ask(closed), "nothing is loaded yet")
	w.feed(list)
	require.Eventually(t, func() bool { return ask(closed) == http.StatusNoContent }, within, every)

	w.broker.Stop()
	for {
		before := list.Staleness()
		answer := ask(closed)
		if after := list.Staleness(); before < limit && after < limit {
			require.Equal(t, http.StatusNoContent, answer, "within the limit, %s", before)
		} else if before > limit {
			require.Equal(t, http.StatusServiceUnavailable, answer, "beyond the limit, %s", before)
			break
		}
	}
	require.Equal(t, http.StatusNoContent, ask(open), "this route never asked for a fresh list")
	w.broker.Start()
	require.Eventually(t, func() bool { return ask(closed) == http.StatusNoContent }, within, every, "it recovers by itself")
}

// A change of permissions ends the tokens that state the old ones; one that was
// issued later goes on.
func TestFeed_AChangeOfPermissionsEndsTheTokensBeforeIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	issuer := authntest.NewIssuer(t)
	verifier := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{issuer.Config("shadowless")}},
		authn.Options{Audiences: []string{"orders"}, Revocations: list})
	w.feed(list)
	w.fresh(list, time.Second)
	ctx, changed := context.Background(), time.Now().Add(-10*time.Second).Truncate(time.Second)
	old := issuer.UserToken("alice", authntest.Audience("orders"), authntest.IssuedAt(changed))
	next := issuer.UserToken("alice", authntest.Audience("orders"), authntest.IssuedAt(changed.Add(time.Second)))
	for _, token := range []string{old, next} {
		_, err := verifier.Verify(ctx, token)
		require.NoError(t, err)
	}
	alice, err := verifier.Verify(ctx, old)
	require.NoError(t, err)
	w.put(authn.Revocation{Kind: authn.RevokedUser, Key: authn.NewRevocationKey(authn.RevokedUser, alice.UserID()), Before: changed})
	require.Eventually(t, func() bool { _, err := verifier.Verify(ctx, old); return err != nil }, within, every)
	_, err = verifier.Verify(ctx, old)
	require.ErrorIs(t, err, authn.ErrRevoked)
	_, err = verifier.Verify(ctx, next)
	require.NoError(t, err)
}

// Entries of one call overtake each other, but not those for the same key.
func TestPut_KeepsTheOrderOfOneKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	at := time.Unix(1_900_000_000, 0)
	var all []authn.Revocation
	for i := range 100 {
		r := block(strconv.Itoa(i), at)
		lifted := r
		lifted.Lifted = true
		all = append(all, r, lifted, r, lifted) // of one second: the last one stays
	}
	given := slices.Clone(all)
	w.put(all...)
	require.Equal(t, given, all, "the caller's list is the caller's")
	for i := range 100 {
		entry, err := w.kv.Get(context.Background(), revocation.Key(authn.BlockedUser, block(strconv.Itoa(i), at).Key))
		require.NoError(t, err)
		require.JSONEq(t, `{"t":1900000000,"lifted":true}`, string(entry.Value()))
	}
}

func TestPut_TellsThatSomethingIsNotThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	many := []authn.Revocation{block("a", time.Now()), {Kind: 99}, block("b", time.Now())}
	require.Error(t, revocation.Put(context.Background(), w.kv, many...))
	require.Error(t, revocation.Lift(context.Background(), w.kv, many...))
	require.NoError(t, w.broker.JetStream.DeleteKeyValue(context.Background(), revocation.DefaultBucket))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := revocation.Put(ctx, w.kv, block("c", time.Now()), block("d", time.Now()))
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
}
