package relay_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// heldUp keeps every transaction that gives versions from committing until it is
// let go, so that submissions gather behind the first.
func heldUp(t *testing.T, db *identitytest.Database) (release func()) {
	t.Helper()
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT value FROM version_counter FOR UPDATE`)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(context.Background())) }
}

// transactions counts those that wrote the events.
func transactions(t *testing.T, db *identitytest.Database) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(DISTINCT xmin::text) FROM events`).Scan(&n))
	return n
}

func TestSubmit_WhatComesTogetherIsCommittedTogether(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	release := heldUp(t, db)
	const users = 40
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			got, err := r.Submit(t.Context(), fact(relay.UserSignedOut, fmt.Sprint("u", i)))
			if err != nil || got[0] != relay.Recorded {
				t.Errorf("submit: %v %v", got, err)
			}
		})
	}
	waiting(t, db)
	release()
	all.Wait()
	var events, revoked int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*), (SELECT count(*) FROM revocations) FROM events`).Scan(&events, &revoked))
	require.Equal(t, users, events)
	require.Equal(t, users, revoked)
	require.Less(t, transactions(t, db), users/2)
}

// waiting returns when somebody waits for a version.
func waiting(t *testing.T, db *identitytest.Database) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'`).Scan(&n)
		return err == nil && n > 0
	}, 10*time.Second, 2*time.Millisecond)
}

// What cannot be recorded fails for its submitter alone: here a fact that no row
// can hold, among others that are fine.
func TestSubmit_NobodyFailsForAnother(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	_, err := db.Owner.Exec(t.Context(), `ALTER TABLE revocations ADD CONSTRAINT not_this CHECK (kind <> 'block')`)
	require.NoError(t, err)
	release := heldUp(t, db)
	var all sync.WaitGroup
	var failed atomic.Int32
	for i := range 20 {
		all.Go(func() {
			kind := relay.UserSignedOut
			if i == 7 {
				kind = relay.UserBanned
			}
			_, err := r.Submit(t.Context(), fact(kind, fmt.Sprint("u", i)))
			if (err != nil) != (i == 7) {
				t.Errorf("submission %d: %v", i, err)
			}
			if err != nil {
				failed.Add(1)
			}
		})
	}
	waiting(t, db)
	release()
	all.Wait()
	require.EqualValues(t, 1, failed.Load())
	var events, highest int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*), max(version) FROM events`).Scan(&events, &highest))
	require.Equal(t, 19, events)
	require.Equal(t, 19, highest, "without gaps")
}

// Two deliveries about one user at once are two transactions: the second must see
// what the first has done.
func TestSubmit_OneUserAtATime(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	release := heldUp(t, db)
	var all sync.WaitGroup
	outcomes := make(chan relay.Outcome, 8)
	for i := range 8 {
		all.Go(func() {
			f := fact(relay.UserCreated, "u1")
			f.DeliveryID = fmt.Sprint("evt_", i)
			got, err := r.Submit(t.Context(), f)
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			outcomes <- got[0]
		})
	}
	waiting(t, db)
	release()
	all.Wait()
	close(outcomes)
	count := map[relay.Outcome]int{}
	for o := range outcomes {
		count[o]++
	}
	require.Equal(t, map[relay.Outcome]int{relay.Recorded: 1, relay.Repeated: 7}, count)
}

func TestSubmit_WhoeverGivesUpWaitingIsNotCommitted(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	release := heldUp(t, db)
	first := make(chan error, 1)
	go func() {
		_, err := r.Submit(t.Context(), fact(relay.UserSignedOut, "u1"))
		first <- err
	}()
	waiting(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Revoke(ctx, authn.RevokedToken, "j1", revocations.CauseOperator, r.Now())
	require.ErrorIs(t, err, context.Canceled)
	release()
	require.NoError(t, <-first)
	changed, err := r.Revoke(t.Context(), authn.RevokedToken, "j2", revocations.CauseOperator, r.Now())
	require.NoError(t, err)
	require.True(t, changed)
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM revocations WHERE kind = 'jti'`).Scan(&n))
	require.Equal(t, 1, n)
}

// A rekeying locks its two users in the order of their IDs and keeps others out. A
// transaction for several users, who came in another order, waits for the first of
// them without holding the second.
func TestSubmit_DoesNotWaitInACircleWithARekeying(t *testing.T) {
	t.Parallel()
	r, db := newRecorder(t)
	release := heldUp(t, db)
	var all sync.WaitGroup
	submit := func(userID string) {
		all.Go(func() {
			got, err := r.Submit(t.Context(), fact(relay.UserSignedOut, userID))
			if err != nil || got[0] != relay.Recorded {
				t.Errorf("submit: %v %v", got, err)
			}
		})
	}
	submit("u0")
	waiting(t, db)
	for i, userID := range []string{"u2", "u1"} {
		submit(userID)
		require.Eventually(t, func() bool { return r.Queued() == i+1 }, 10*time.Second, time.Millisecond)
	}
	rekeying, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer rekeying.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	require.NoError(t, erasures.LockUser(t.Context(), rekeying, "u1", true))
	release()
	count := func(where string) (n int) {
		require.NoError(t, db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks l WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND `+where).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return count(`NOT granted`) == 1 }, 10*time.Second, time.Millisecond)
	held := count(`granted AND pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND database = l.database)`)
	require.Zero(t, held, "who waits for u1 holds nobody")
	require.NoError(t, erasures.LockUser(t.Context(), rekeying, "u2", true))
	require.NoError(t, rekeying.Commit(t.Context()))
	all.Wait()
}

// BenchmarkSubmit compares sign-outs that commit one by one with those that come
// at once (go test -bench Submit ./services/identity-relay/internal/relay).
func BenchmarkSubmit(b *testing.B) {
	for _, at := range []int{1, 32} {
		b.Run(fmt.Sprint("at once ", at), func(b *testing.B) {
			r, _ := newRecorder(b)
			var turn atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range at {
				all.Go(func() {
					for {
						i := turn.Add(1)
						if i > int64(b.N) {
							return
						}
						if _, err := r.Submit(b.Context(), fact(relay.UserSignedOut, fmt.Sprint("u", i))); err != nil {
							b.Errorf("submit: %v", err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signouts/s")
		})
	}
}
