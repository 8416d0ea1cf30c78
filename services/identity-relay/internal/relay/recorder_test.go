package relay_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func newRecorder(t testing.TB) (*relay.Recorder, *identitytest.Database) {
	t.Helper()
	db := identitytest.Postgres(t, schema.Sets()...)
	keys := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(keys, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(keys)
	require.NoError(t, err)
	return &relay.Recorder{
		Pool: db.Pool, Tombstones: tombstones, Now: time.Now, Wake: func() {},
		Erasures: erasures.Settings{Grace: time.Hour, Deadline: time.Hour, PerHour: 3, Tombstones: tombstones, Now: time.Now},
	}, db
}

func fact(kind relay.Kind, user string) relay.Fact {
	return relay.Fact{Source: relay.SourceAuther, Type: "test", Kind: kind, UserID: user, OccurredAt: time.Now()}
}

func TestRecord_VersionsAreTheOrderOfCommitsWithoutGaps(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	failed := errors.New("rolled back on purpose")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			err := r.Transact(t.Context(), func(tx pgx.Tx) error {
				if _, err := r.Record(t.Context(), tx, fact(relay.UserUpdated, fmt.Sprint("u", i%5))); err != nil {
					return err
				}
				if i%4 == 0 {
					return failed
				}
				return nil
			})
			if i%4 == 0 && !errors.Is(err, failed) || i%4 != 0 && err != nil {
				t.Errorf("record: %v", err)
			}
		})
	}
	all.Wait()
	var count, highest, outOfOrder int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*), max(version) FROM events`).Scan(&count, &highest))
	require.Equal(t, 30, count)
	require.Equal(t, 30, highest)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM (
		SELECT version, lag(version) OVER (ORDER BY o.id) AS before FROM mailbox_outbox o JOIN events e ON e.id::text = o.message_id) x
		WHERE before > version`).Scan(&outOfOrder))
	require.Zero(t, outOfOrder, "the outbox has the order of the versions")
}

func TestRecord_OneDeliveryAtOnceFromTwoSidesCountsOnce(t *testing.T) {
	t.Parallel()
	r, _ := newRecorder(t)
	f := fact(relay.UserUpdated, "u1")
	f.DeliveryID = "evt_1"
	var mu sync.Mutex
	outcomes := map[relay.Outcome]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := r.Submit(t.Context(), f)
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[got[0]]++
		})
	}
	all.Wait()
	require.Equal(t, map[relay.Outcome]int{relay.Recorded: 1, relay.Duplicate: 7}, outcomes)
	other := f
	other.Source = "another"
	got, err := r.Submit(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, relay.Recorded, got[0], "IDs are unique within a source only")
}

func TestRecord_TheBreakerHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if _, err := r.Submit(t.Context(), fact(relay.UserDeleted, fmt.Sprint("u", i))); err != nil {
				t.Errorf("submit: %v", err)
			}
		})
	}
	all.Wait()
	var grace, held, blocked int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'grace'), count(*) FILTER (WHERE state = 'held') FROM erasures`).Scan(&grace, &held))
	require.Equal(t, 3, grace)
	require.Equal(t, 9, held)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE kind = 'block'`).Scan(&blocked))
	require.Equal(t, 12, blocked, "access stops at once for all of them")
	other := fact(relay.UserDeleted, "u99")
	other.Source = relay.SourceReconciliation
	_, err := r.Submit(t.Context(), other)
	require.NoError(t, err)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM erasures WHERE state = 'grace'`).Scan(&grace))
	require.Equal(t, 4, grace, "each source has a breaker of its own")
}

// TestRecord_AWithdrawalEndsTokens: what was issued before it states an access
// that is gone. What is given takes nothing from older tokens.
func TestRecord_AWithdrawalEndsTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change string
		keep   bool
		ended  int
	}{
		{relay.Revoked, false, 1}, {relay.ConditionUpdated, false, 1}, {relay.Granted, false, 0}, {relay.Revoked, true, 0},
	} {
		t.Run(fmt.Sprint(c.change, ", kept ", c.keep), func(t *testing.T) {
			t.Parallel()
			r, db := newRecorder(t)
			r.KeepTokens = c.keep
			f := fact(relay.AccessChanged, "u1")
			f.OccurredAt = f.OccurredAt.Add(-time.Minute)
			f.Access = &relay.AccessChange{EntityType: "client_shop:invoice", Relation: "clerk", Change: c.change}
			got, err := r.Submit(t.Context(), f)
			require.NoError(t, err)
			require.Equal(t, []relay.Outcome{relay.Recorded}, got, "it is told either way")
			var ended int
			require.NoError(t, db.Pool.QueryRow(t.Context(),
				`SELECT count(*) FROM revocations WHERE kind = 'user' AND causes = '{changed}' AND revoked_at < now() - interval '58 seconds'`).Scan(&ended))
			require.Equal(t, c.ended, ended, "at the time of the change, not of the delivery")
		})
	}
}

func TestRecord_RefusesFactsThatBreakTheirContract(t *testing.T) {
	t.Parallel()
	r, _ := newRecorder(t)
	access := &relay.AccessChange{EntityType: "t", Relation: "r", Change: relay.Granted}
	for name, change := range map[string]func(*relay.Fact){
		"no source":                func(f *relay.Fact) { f.Source = "" },
		"no time":                  func(f *relay.Fact) { f.OccurredAt = time.Time{} },
		"no user":                  func(f *relay.Fact) { f.UserID = "" },
		"user with a line end":     func(f *relay.Fact) { f.UserID = "a\nb" },
		"user too long":            func(f *relay.Fact) { f.UserID = strings.Repeat("x", 256) },
		"session without ID":       func(f *relay.Fact) { f.Kind = relay.SessionEnded },
		"session with NUL":         func(f *relay.Fact) { f.Kind, f.SessionID = relay.SessionEnded, "\x00" },
		"access without a change":  func(f *relay.Fact) { f.Kind = relay.AccessChanged },
		"access without relation":  func(f *relay.Fact) { f.Kind, f.Access = relay.AccessChanged, &relay.AccessChange{EntityType: "t"} },
		"access of something else": func(f *relay.Fact) { f.Access = access },
		"unknown kind":             func(f *relay.Fact) { f.Kind = 99 },
	} {
		f := fact(relay.UserCreated, "u1")
		change(&f)
		_, err := r.Submit(t.Context(), f)
		require.ErrorIs(t, err, relay.ErrInvalidFact, name)
	}
}

func TestRecord_WaitsForTheErasureOfTheSameUser(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	// The relay is erasing its own rows of u1 and has not committed yet.
	erasing, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer erasing.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	require.NoError(t, erasures.LockUser(t.Context(), erasing, "u1", true))
	late := make(chan relay.Outcome, 1)
	go func() {
		got, err := r.Submit(t.Context(), fact(relay.UserUpdated, "u1"))
		if err != nil {
			t.Errorf("submit: %v", err)
			got = []relay.Outcome{""}
		}
		late <- got[0]
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		return err == nil && waiting == 1
	}, 10*time.Second, 10*time.Millisecond)
	_, err = erasing.Exec(t.Context(), `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, 'k1', 'e', 1)`, r.Tombstones.Hash("u1"))
	require.NoError(t, err)
	require.NoError(t, erasing.Commit(t.Context()))
	require.Equal(t, relay.Erased, <-late)
	got, err := r.Submit(t.Context(), fact(relay.UserUpdated, "u2"))
	require.NoError(t, err)
	require.Equal(t, relay.Recorded, got[0], "others do not wait")
}

func TestRecord_AnErasedUserIsErasedAgainOnlyIfSomebodyHoldsData(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, 'k1', 'e', 1)`, r.Tombstones.Hash("u1"))
	require.NoError(t, err)
	got, err := r.Submit(t.Context(), fact(relay.UserDeleted, "u1"))
	require.NoError(t, err)
	require.Equal(t, relay.Erased, got[0])
	restored := fact(relay.UserDeleted, "u1")
	restored.Held = true
	got, err = r.Submit(t.Context(), restored)
	require.NoError(t, err)
	require.Equal(t, relay.Recorded, got[0], "a participant was restored from a backup")
}
