package revocations_test

import (
	"context"
	"fmt"
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

// refuseMany makes the database refuse to mark more than so many rows in one
// statement, as it refuses one that takes too long.
func refuseMany(t *testing.T, db *identitytest.Database, most int) {
	t.Helper()
	_, err := db.Owner.Exec(t.Context(), fmt.Sprintf(`CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF (SELECT count(*) FROM marked WHERE pending) > %d THEN RAISE EXCEPTION 'too many rows at once'; END IF;
			RETURN NULL;
		END $$`, most))
	require.NoError(t, err)
	_, err = db.Owner.Exec(t.Context(), `CREATE TRIGGER refuse_many AFTER UPDATE ON revocations
		REFERENCING NEW TABLE AS marked FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`)
	require.NoError(t, err)
}

// projectedBefore writes rows that were projected at some time, as SQL.
func projectedBefore(t *testing.T, db *identitytest.Database, kind string, rows int, ago time.Duration) {
	t.Helper()
	_, err := db.Owner.Exec(t.Context(), `INSERT INTO revocations (kind, key, revoked_at, causes, expires_at, pending, projected_at)
		SELECT $1, decode(md5($1 || n), 'hex'), now(), ARRAY['banned'], CASE WHEN $1 <> 'block' THEN now() + interval '49 hours' END, false, now() - $3::interval
		FROM generate_series(1, $2::int) n`, kind, rows, ago)
	require.NoError(t, err)
}

// entries counts what the bucket holds under a kind.
func entries(t *testing.T, broker *identitytest.Broker, kind string) int {
	t.Helper()
	stream, err := broker.JetStream.Stream(t.Context(), "KV_"+streams.Revocations)
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("$KV."+streams.Revocations+"."+kind+".>"))
	require.NoError(t, err)
	return len(info.State.Subjects)
}

// More rows than one statement may take are projected again a page at a time, at a
// loss as well as for blocks that the bucket would soon forget.
func TestProjector_MarksManyRowsInPages(t *testing.T) {
	t.Parallel()
	const rows, most = 250, 20
	for name, c := range map[string]struct {
		kind  string
		ago   time.Duration
		known bool
	}{
		"a lost bucket":       {"jti", time.Hour, false},
		"blocks that run out": {"block", revocations.Lifetime/2 + time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, broker := identitytest.Postgres(t, schema.Sets()...), identitytest.NATS(t)
			require.NoError(t, streams.Apply(t.Context(), broker.JetStream, 1))
			if c.known { // and complete, so that only their age is a reason
				remember(t, db, broker, rows)
			}
			projectedBefore(t, db, c.kind, rows, c.ago)
			refuseMany(t, db, most)
			start(t, db, broker, most)
			require.Eventually(t, func() bool { return entries(t, broker, c.kind) == rows }, within, every)
		})
	}
}

// remember puts so many other entries into the bucket and writes that it was rebuilt.
func remember(t *testing.T, db *identitytest.Database, broker *identitytest.Broker, others int) {
	t.Helper()
	kv, err := broker.JetStream.KeyValue(t.Context(), streams.Revocations)
	require.NoError(t, err)
	for i := range others {
		_, err := kv.Put(t.Context(), fmt.Sprint("sid.", i), []byte("{}"))
		require.NoError(t, err)
	}
	stream, err := broker.JetStream.Stream(t.Context(), "KV_"+streams.Revocations)
	require.NoError(t, err)
	_, err = db.Owner.Exec(t.Context(), `INSERT INTO projections (bucket, created_at) VALUES ($1, $2)`, streams.Revocations, stream.CachedInfo().Created)
	require.NoError(t, err)
}

// start runs a projector until the test ends.
func start(t *testing.T, db *identitytest.Database, broker *identitytest.Broker, page int) *revocations.Projector {
	t.Helper()
	p := revocations.NewProjector(db.Pool, broker.JetStream, streams.Revocations, slog.New(slog.DiscardHandler))
	p.SetPage(page)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return p
}

// A transaction that holds a row neither stops a rebuild nor is stopped by it. The
// row follows when it is free, also if it is left as it was.
func TestProjector_WaitsForNobodyWhileItRebuilds(t *testing.T) {
	t.Parallel()
	db, broker := identitytest.Postgres(t, schema.Sets()...), identitytest.NATS(t)
	require.NoError(t, streams.Apply(t.Context(), broker.JetStream, 1))
	const rows = 50
	projectedBefore(t, db, "jti", rows, time.Hour)
	holding, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer holding.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	_, err = holding.Exec(t.Context(), `SELECT FROM revocations WHERE key = decode(md5('jti7'), 'hex') FOR UPDATE`)
	require.NoError(t, err)
	start(t, db, broker, 10)
	require.Eventually(t, func() bool { return entries(t, broker, "jti") == rows-1 }, within, every)
	var rebuilding bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT rebuild_since IS NOT NULL FROM projections`).Scan(&rebuilding))
	require.True(t, rebuilding, "one is missing")
	require.NoError(t, holding.Rollback(t.Context()))
	require.Eventually(t, func() bool { return entries(t, broker, "jti") == rows }, within, every)
	require.Eventually(t, func() bool {
		err := db.Pool.QueryRow(t.Context(), `SELECT rebuild_since IS NOT NULL FROM projections`).Scan(&rebuilding)
		return err == nil && !rebuilding
	}, within, every)
}

// While a rebuild goes on a list that had everything stays fresh and gets what is
// new; one that is empty is not fresh before the end.
func TestProjector_BeatsAndProjectsWhileItRebuilds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	had := b.mirror("had")
	require.Eventually(t, func() bool { return had.Fresh(5*time.Second) == nil }, within, every)
	projectedBefore(t, b.db, "jti", 1, time.Hour)
	holding, err := b.db.Pool.Begin(t.Context()) // so that the rebuild does not end
	require.NoError(t, err)
	defer holding.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	_, err = holding.Exec(t.Context(), `SELECT FROM revocations FOR UPDATE`)
	require.NoError(t, err)
	_, err = b.projector.Rebuild(t.Context())
	require.NoError(t, err)
	beat := func() string {
		kv, err := b.broker.JetStream.KeyValue(t.Context(), streams.Revocations)
		require.NoError(t, err)
		entry, err := kv.Get(t.Context(), revocation.HeartbeatPrefix+streams.RevokerHeartbeat)
		require.NoError(t, err)
		return string(entry.Value())
	}
	require.Eventually(t, func() bool { return len(beat()) > len("1789000000000000000") }, within, every, "its heartbeat says that it rebuilds")
	began := time.Now()
	lacks := b.mirror("lacks")
	b.block("u1", revocations.CauseBanned)
	require.Eventually(t, func() bool { return had.Len() == 1 && lacks.Len() == 1 }, within, every, "what is new arrives")
	require.Eventually(t, func() bool { return time.Since(began)-had.Staleness() > time.Second }, within, every, "heartbeats count that were written since")
	require.Error(t, lacks.Fresh(time.Hour))
	require.NoError(t, holding.Rollback(t.Context()))
	require.Eventually(t, func() bool { return lacks.Fresh(5*time.Second) == nil && lacks.Len() == 2 }, within, every)
}

// mirror is another replica of some service, which hears the relay's heartbeat.
func (b *bench) mirror(instance string) *authn.RevocationList {
	b.t.Helper()
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	feed := revocation.NewFeed(b.broker.JetStream, revocation.FeedConfig{
		Bucket: streams.Revocations, Instance: instance, Upstream: streams.RevokerHeartbeat, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx, list) }()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	return list
}

// What was projected since a rebuild was asked for is in the bucket: another
// replica, or the same one after a crash, does not put it there once more.
func TestProjector_ReplicasShareARebuild(t *testing.T) {
	t.Parallel()
	db, broker := identitytest.Postgres(t, schema.Sets()...), identitytest.NATS(t)
	require.NoError(t, streams.Apply(t.Context(), broker.JetStream, 1))
	remember(t, db, broker, 30)
	projectedBefore(t, db, "jti", 30, time.Hour)
	_, err := db.Owner.Exec(t.Context(), `UPDATE projections SET rebuild_since = now() - interval '1 minute'`)
	require.NoError(t, err)
	_, err = db.Owner.Exec(t.Context(), `UPDATE revocations SET projected_at = now() WHERE key < '\x80'`)
	require.NoError(t, err)
	var before int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE projected_at < now() - interval '1 minute'`).Scan(&before))
	require.Less(t, before, 30)
	require.Positive(t, before)
	start(t, db, broker, 7)
	require.Eventually(t, func() bool { return entries(t, broker, "jti") == before }, within, every)
	require.Eventually(t, func() bool {
		var rebuilding bool
		err := db.Pool.QueryRow(t.Context(), `SELECT rebuild_since IS NOT NULL FROM projections`).Scan(&rebuilding)
		return err == nil && !rebuilding
	}, within, every)
	require.Equal(t, before, entries(t, broker, "jti"))
}

// Heartbeats are no revocations: a bucket full of those of replicas that are gone
// lacks an entry none the less.
func TestProjector_NoticesOneMissingEntryAmongHeartbeats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.block("u1", revocations.CauseBanned)
	b.block("u2", revocations.CauseBanned)
	b.settled()
	kv, err := b.broker.JetStream.KeyValue(t.Context(), streams.Revocations)
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, revocation.Beat(t.Context(), kv, fmt.Sprint("gone-", i)))
	}
	stream, err := b.broker.JetStream.Stream(t.Context(), "KV_"+streams.Revocations)
	require.NoError(t, err)
	key := revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, "u1"))
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV."+streams.Revocations+"."+key)))
	start(t, b.db, b.broker, 10)
	require.Eventually(t, func() bool {
		_, err := kv.Get(t.Context(), key)
		return err == nil
	}, within, every)
}

// Where something is always pending the heartbeat does not wait for a pause.
func TestProjector_BeatsUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	list := b.mirror("busy")
	require.Eventually(t, func() bool { return list.Fresh(5*time.Second) == nil }, within, every)
	ctx, cancel := context.WithCancel(t.Context())
	loaded := make(chan error, 4)
	for writer := range cap(loaded) {
		go func() {
			for i := 0; ctx.Err() == nil; i++ {
				// Always some, and never more than the projector takes at once: one that
				// falls behind has no news to beat about.
				var pending int
				if err := b.db.Pool.QueryRow(context.WithoutCancel(ctx), `SELECT count(*) FROM revocations WHERE pending`).Scan(&pending); err != nil {
					loaded <- err
					return
				}
				if pending > 50 {
					continue
				}
				err := pgx.BeginFunc(context.WithoutCancel(ctx), b.db.Pool, func(tx pgx.Tx) error {
					_, err := revocations.Revoke(context.WithoutCancel(ctx), tx, authn.RevokedToken, fmt.Sprint(writer, "/", i), revocations.CauseOperator, time.Now())
					return err
				})
				if err != nil {
					loaded <- err
					return
				}
			}
			loaded <- nil
		}()
	}
	began := time.Now()
	require.Eventually(t, func() bool { return time.Since(began)-list.Staleness() > 1500*time.Millisecond }, within, every)
	cancel()
	for range cap(loaded) {
		require.NoError(t, <-loaded)
	}
}
