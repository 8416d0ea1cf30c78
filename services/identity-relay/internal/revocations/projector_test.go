package revocations_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = 15 * time.Second
	every  = 20 * time.Millisecond
)

type bench struct {
	t         *testing.T
	db        *identitytest.Database
	broker    *identitytest.Broker
	projector *revocations.Projector
	list      *authn.RevocationList
}

// newBench projects into a bucket that a real feed mirrors.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, db: identitytest.Postgres(t, schema.Sets()...), broker: identitytest.NATS(t)}
	require.NoError(t, streams.Apply(t.Context(), b.broker.JetStream, 1))
	b.projector = revocations.NewProjector(b.db.Pool, b.broker.JetStream, streams.Revocations, slog.New(slog.DiscardHandler))
	b.list = authn.NewRevocationList(authn.RevocationListOptions{})
	feed := revocation.NewFeed(b.broker.JetStream, revocation.FeedConfig{
		Bucket: streams.Revocations, Instance: "test", Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- b.projector.Run(ctx) }()
	go func() { done <- feed.Run(ctx, b.list) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	})
	return b
}

func (b *bench) transact(fn func(tx pgx.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.db.Pool, fn))
	b.projector.Wake()
}

func (b *bench) block(id string, cause revocations.Cause) (changed bool) {
	b.t.Helper()
	b.transact(func(tx pgx.Tx) (err error) {
		changed, err = revocations.Revoke(b.t.Context(), tx, authn.BlockedUser, id, cause, time.Now())
		return err
	})
	return changed
}

func (b *bench) lift(id string, cause revocations.Cause) (changed bool) {
	b.t.Helper()
	b.transact(func(tx pgx.Tx) (err error) {
		changed, err = revocations.Lift(b.t.Context(), tx, authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, id), cause, time.Now())
		return err
	})
	return changed
}

// mirrored waits until the replica's memory holds n entries.
func (b *bench) mirrored(n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.list.Len() == n }, within, every, "the mirror has %d entries", b.list.Len())
}

func (b *bench) settled() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		var pending int
		err := b.db.Pool.QueryRow(b.t.Context(), `SELECT count(*) FROM revocations WHERE pending`).Scan(&pending)
		return err == nil && pending == 0
	}, within, every)
}

func (b *bench) value(id string) jetstream.KeyValueEntry {
	b.t.Helper()
	kv, err := b.broker.JetStream.KeyValue(b.t.Context(), streams.Revocations)
	require.NoError(b.t, err)
	entry, err := kv.Get(b.t.Context(), revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, id)))
	require.NoError(b.t, err)
	return entry
}

func TestProjector_ReachesTheMirrorAndBeats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.True(t, b.block("u1", revocations.CauseBanned))
	require.False(t, b.block("u1", revocations.CauseBanned), "the same cause again changes nothing")
	b.mirrored(1)
	require.Eventually(t, func() bool { return b.list.Loaded() && b.list.Fresh(5*time.Second) == nil }, within, every)
	require.True(t, b.lift("u1", revocations.CauseBanned))
	require.False(t, b.lift("u1", revocations.CauseBanned))
	b.mirrored(0)
	require.True(t, b.block("u1", revocations.CauseBanned), "and blocked again")
	b.mirrored(1)
}

func TestProjector_ABlockHoldsUntilItsLastCauseIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.block("u1", revocations.CauseBanned)
	b.block("u1", revocations.CauseDeleted)
	require.True(t, b.lift("u1", revocations.CauseBanned))
	b.settled()
	require.NotContains(t, string(b.value("u1").Value()), `"lifted":true`)
	require.True(t, b.lift("u1", revocations.CauseDeleted))
	b.settled()
	require.Contains(t, string(b.value("u1").Value()), `"lifted":true`)
	b.block("u2", revocations.CauseBanned)
	b.block("u2", revocations.CauseOperator)
	require.True(t, b.lift("u2", ""), "an operator lifts whatever the cause was")
	b.mirrored(0)
}

func TestProjector_RebuildsABucketThatWasLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, id := range []string{"u1", "u2", "u3"} {
		b.block(id, revocations.CauseBanned)
	}
	b.mirrored(3)
	b.settled()
	require.NoError(t, b.broker.JetStream.DeleteKeyValue(t.Context(), streams.Revocations))
	require.NoError(t, streams.Apply(t.Context(), b.broker.JetStream, 1))
	require.Eventually(t, func() bool {
		kv, err := b.broker.JetStream.KeyValue(t.Context(), streams.Revocations)
		if err != nil {
			return false
		}
		for _, id := range []string{"u1", "u2", "u3"} {
			if _, err := kv.Get(t.Context(), revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, id))); err != nil {
				return false
			}
		}
		return true
	}, within, every)
	require.Equal(t, 3, b.list.Len(), "the replica never forgot them")
}

func TestProjector_RebuildsAnEmptiedBucketAtStartAndOnCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.block("u1", revocations.CauseBanned)
	b.settled()
	kv, err := b.broker.JetStream.KeyValue(t.Context(), streams.Revocations)
	require.NoError(t, err)
	stream, err := b.broker.JetStream.Stream(t.Context(), "KV_"+streams.Revocations)
	require.NoError(t, err)
	key := revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, "u1"))
	there := func() bool {
		_, err := kv.Get(t.Context(), key)
		return err == nil
	}
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV."+streams.Revocations+".block.>")))
	require.False(t, there())
	n, err := b.projector.Rebuild(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	require.Eventually(t, there, within, every)

	for _, id := range []string{"u2", "u3", "u4"} {
		b.block(id, revocations.CauseBanned)
	}
	b.settled()
	require.NoError(t, stream.Purge(t.Context()))
	stop := b.another()
	require.Eventually(t, there, within, every, "a replica that starts compares")
	stop()
}

// another starts a second replica, which looks at all rows at once and not only
// a minute later.
func (b *bench) another() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	started := revocations.NewProjector(b.db.Pool, b.broker.JetStream, streams.Revocations, slog.New(slog.DiscardHandler))
	go func() { done <- started.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(b.t, <-done)
	}
}

func TestProjector_PutsBlocksAgainBeforeTheBucketForgetsThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.block("u1", revocations.CauseBanned)
	b.settled()
	before := b.value("u1").Revision()
	renewed := func() bool {
		var aged bool
		err := b.db.Pool.QueryRow(t.Context(), `SELECT pending OR projected_at < now() - interval '24 hours' FROM revocations`).Scan(&aged)
		return err == nil && !aged
	}
	// Within one second nothing can be newer, so age it until it is.
	for b.value("u1").Revision() == before {
		_, err := b.db.Pool.Exec(t.Context(), `UPDATE revocations SET projected_at = now() - interval '25 hours' WHERE NOT pending`)
		require.NoError(t, err)
		stop := b.another()
		require.Eventually(t, renewed, within, every, "a replica that starts renews")
		stop()
	}
}

func TestPrune_KeepsWhatMayStillBeNeeded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := time.Now().Add(-revocations.Lifetime - time.Hour)
	b.transact(func(tx pgx.Tx) error {
		for kind, id := range map[authn.RevocationKind]string{authn.RevokedSession: "s1", authn.RevokedUser: "u1", authn.BlockedUser: "u1"} {
			if _, err := revocations.Revoke(t.Context(), tx, kind, id, revocations.CauseOperator, old); err != nil {
				return err
			}
		}
		_, err := revocations.Revoke(t.Context(), tx, authn.RevokedSession, "s2", revocations.CauseOperator, time.Now())
		return err
	})
	b.settled()
	require.NoError(t, revocations.Prune(t.Context(), b.db.Pool))
	var left []string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT array_agg(kind ORDER BY kind) FROM revocations`).Scan(&left))
	require.Equal(t, []string{"block", "sid"}, left)
}

func TestRevoke_MovesTheMomentOnForUsersAndClients(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	for i, moment := range []time.Time{at, at.Add(time.Minute), at} {
		b.transact(func(tx pgx.Tx) error {
			changed, err := revocations.Revoke(t.Context(), tx, authn.RevokedUser, "u1", revocations.CauseOperator, moment)
			require.Equal(t, i < 2, changed)
			return err
		})
	}
	var stored time.Time
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT revoked_at FROM revocations WHERE kind = 'user'`).Scan(&stored))
	require.True(t, stored.Equal(at.Add(time.Minute)))
}
