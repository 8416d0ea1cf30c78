package revocation_test

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
	ttl    = 49 * time.Hour
)

type world struct {
	t      *testing.T
	broker *identitytest.Broker
	kv     jetstream.KeyValue
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, broker: identitytest.NATS(t)}
	w.createBucket()
	return w
}

func (w *world) createBucket() {
	w.t.Helper()
	require.EventuallyWithT(w.t, func(c *assert.CollectT) { // a server that has just deleted one of that name may refuse for a moment
		var err error
		w.kv, err = w.broker.JetStream.CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: revocation.DefaultBucket, TTL: ttl, History: 1})
		require.NoError(c, err)
	}, within, every)
}

func (w *world) put(rs ...authn.Revocation) {
	w.t.Helper()
	require.NoError(w.t, revocation.Put(context.Background(), w.kv, rs...))
}

// log collects what reaches the list.
type log struct {
	mu      sync.Mutex
	entries []authn.Revocation
}

func (l *log) last() authn.Revocation {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return authn.Revocation{}
	}
	return l.entries[len(l.entries)-1]
}

func newList() (*authn.RevocationList, *log) {
	list, seen := authn.NewRevocationList(authn.RevocationListOptions{}), &log{}
	list.OnRevoke(func(r authn.Revocation) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.entries = append(seen.entries, r)
	})
	return list, seen
}

func (w *world) feed(list *authn.RevocationList, change ...func(*revocation.FeedConfig)) {
	w.t.Helper()
	config := revocation.FeedConfig{Instance: "orders-1", Interval: 100 * time.Millisecond, DeadAfter: time.Second}
	for _, c := range change {
		c(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	feed := revocation.NewFeed(w.broker.JetStream, config)
	go func() { done <- feed.Run(ctx, list) }()
	w.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(w.t, err)
		case <-time.After(within):
			w.t.Error("feed did not stop")
		}
	})
}

func (w *world) fresh(list *authn.RevocationList, limit time.Duration) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return list.Fresh(limit) == nil }, within, every)
}

func block(user string, at time.Time) authn.Revocation {
	return authn.Revocation{Kind: authn.BlockedUser, Key: authn.NewRevocationKey(authn.BlockedUser, user), Before: at}
}

func TestFeed_LoadsWhatIsThereAndThenFollows(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for i := range 300 {
		w.put(block(strconv.Itoa(i), time.Now()))
	}
	list, seen := newList()
	require.Error(t, list.Fresh(time.Hour))
	w.feed(list)
	w.fresh(list, time.Second)
	require.Equal(t, 300, list.Len())

	at := time.Unix(1_800_000_000, 1)
	kinds := []authn.RevocationKind{authn.RevokedToken, authn.RevokedSession, authn.RevokedUser, authn.RevokedClient, authn.BlockedUser}
	for i, kind := range kinds {
		r := authn.Revocation{Kind: kind, Key: authn.NewRevocationKey(kind, "x"), Before: at}
		w.put(r)
		require.Eventually(t, func() bool { return list.Len() == 301+i }, within, every)
		got := seen.last()
		require.Equal(t, kind, got.Kind)
		require.Equal(t, r.Key, got.Key)
		require.Equal(t, int64(1_800_000_001), got.Before.Unix(), "rounded up")
		require.WithinDuration(t, time.Now().Add(ttl), got.Expires, time.Minute)
	}
	require.NoError(t, revocation.Lift(context.Background(), w.kv, block("7", time.Time{})))
	require.Eventually(t, func() bool { return list.Len() == 304 }, within, every)
}

func TestFeed_IgnoresWhatIsNotARevocation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	key := revocation.Key(authn.RevokedToken, authn.NewRevocationKey(authn.RevokedToken, "x"))
	for k, v := range map[string]string{"junk": "{}", "jti.short": `{"t":1}`, key: `{"t":"x"}`, "other" + key: `{"t":1}`} {
		_, err := w.kv.Put(context.Background(), k, []byte(v))
		require.NoError(t, err)
	}
	list, _ := newList()
	w.feed(list)
	w.put(block("a", time.Now()))
	require.Eventually(t, func() bool { return list.Len() == 1 }, within, every)
	require.NoError(t, w.kv.Delete(context.Background(), revocation.Key(authn.BlockedUser, block("a", time.Time{}).Key)))
	w.put(block("b", time.Now()))
	require.Eventually(t, func() bool { return list.Len() == 2 }, within, every, "a deleted key lifts nothing")
}

func TestFeed_KeepsItsEntriesAndCatchesUpOverARestart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	w.put(block("a", time.Now()))
	w.feed(list)
	w.fresh(list, time.Second)
	w.broker.Stop()
	require.Eventually(t, func() bool { return list.Fresh(time.Second) != nil }, within, every, "an outage is noticed")
	require.Equal(t, 1, list.Len())
	require.True(t, list.Loaded())
	w.broker.Start()
	require.Eventually(t, func() bool { return revocation.Put(context.Background(), w.kv, block("b", time.Now())) == nil }, within, every)
	require.Eventually(t, func() bool { return list.Len() == 2 }, within, every)
	w.fresh(list, 500*time.Millisecond)
}

func TestFeed_WaitsForTheBucket(t *testing.T) {
	t.Parallel()
	w := &world{t: t, broker: identitytest.NATS(t)}
	list, _ := newList()
	w.feed(list)
	_, err := w.broker.JetStream.KeyValue(context.Background(), revocation.DefaultBucket)
	require.ErrorIs(t, err, jetstream.ErrBucketNotFound)
	w.createBucket()
	w.fresh(list, time.Second)
}

// The watch is on a consumer that the server forgets: nothing tells the client,
// except that the heartbeat does not come back.
func TestFeed_ReplacesADeadWatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	w.feed(list)
	w.fresh(list, time.Second)
	ctx := context.Background()
	require.NoError(t, w.broker.JetStream.DeleteKeyValue(ctx, revocation.DefaultBucket))
	w.createBucket()
	w.put(block("after", time.Now()))
	started := time.Now()
	require.Eventually(t, func() bool { return list.Len() == 1 }, within, every)
	require.Less(t, time.Since(started), 5*time.Second)
	w.fresh(list, 500*time.Millisecond)
}

func TestFeed_IsOnlyAsFreshAsItsUpstream(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	w.feed(list, func(c *revocation.FeedConfig) { c.Upstream = "relay" })
	require.Eventually(t, list.Loaded, within, every)
	require.Never(t, func() bool { return list.Fresh(time.Hour) == nil }, 500*time.Millisecond, every, "no word of the relay yet")
	require.NoError(t, revocation.Beat(context.Background(), w.kv, "relay"))
	w.fresh(list, time.Second)
	require.Eventually(t, func() bool { return list.Fresh(time.Second) != nil }, within, every, "the relay has stopped")
}

// The heartbeat of a bucket that is being rebuilt counts for a list that had
// everything, and not for one that has only what is there so far.
func TestFeed_IsNotFreshWithHalfABucket(t *testing.T) {
	t.Parallel()
	w := setup(t)
	list, _ := newList()
	w.feed(list, func(c *revocation.FeedConfig) { c.Upstream = "relay" })
	beat := func() { require.NoError(t, revocation.BeatRebuilding(context.Background(), w.kv, "relay")) }
	beat()
	w.put(block("so far", time.Now()))
	require.Eventually(t, func() bool { return list.Len() == 1 }, within, every)
	require.Error(t, list.Fresh(time.Hour), "the heartbeat came before the block")
	require.NoError(t, revocation.Beat(context.Background(), w.kv, "relay"))
	w.fresh(list, time.Second)
	began := time.Now()
	require.Eventually(t, func() bool {
		beat()
		return time.Since(began)-list.Staleness() > 200*time.Millisecond
	}, within, every, "and lost again")
}

func TestFeed_RefusesAnInstanceThatIsNoKey(t *testing.T) {
	t.Parallel()
	list, _ := newList()
	for _, instance := range []string{"", "a.b", "a b", "*"} {
		require.Error(t, revocation.NewFeed(nil, revocation.FeedConfig{Instance: instance}).Run(context.Background(), list))
	}
}

func TestPut_TheLaterOneStays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	user := authn.Revocation{Kind: authn.RevokedUser, Key: authn.NewRevocationKey(authn.RevokedUser, "u")}
	at := func(second int64) authn.Revocation { r := user; r.Before = time.Unix(second, 0); return r }
	stored := func() string {
		entry, err := w.kv.Get(ctx, revocation.Key(user.Kind, user.Key))
		require.NoError(t, err)
		require.True(t, json.Valid(entry.Value()))
		return string(entry.Value())
	}
	w.put(at(100))
	w.put(at(90))
	require.JSONEq(t, `{"t":100,"lifted":false}`, stored())
	require.NoError(t, revocation.Lift(ctx, w.kv, at(95)))
	require.JSONEq(t, `{"t":100,"lifted":false}`, stored())
	require.NoError(t, revocation.Lift(ctx, w.kv, at(100)))
	require.JSONEq(t, `{"t":100,"lifted":true}`, stored())
	w.put(at(110))
	require.JSONEq(t, `{"t":110,"lifted":false}`, stored())
	require.Error(t, revocation.Put(ctx, w.kv, authn.Revocation{Kind: 99}))
}

func TestPut_ConcurrentWritersKeepTheLatest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var writers sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		writers.Go(func() {
			r := block("u", time.Unix(int64(1000+i), 0))
			errs <- revocation.Put(context.Background(), w.kv, r)
		})
	}
	writers.Wait()
	for range 8 {
		require.NoError(t, <-errs)
	}
	entry, err := w.kv.Get(context.Background(), revocation.Key(authn.BlockedUser, block("u", time.Time{}).Key))
	require.NoError(t, err)
	require.JSONEq(t, `{"t":1007,"lifted":false}`, string(entry.Value()))
}
