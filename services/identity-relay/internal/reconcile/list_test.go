package reconcile_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// quick makes both look-ups happen in one pass, so that only the rule under test
// stands between a user and their erasure.
func quick(r *reconcile.Reconciler) {
	r.Settings.Grace, r.Settings.ShrinkFloor = time.Millisecond, 0
}

// lookupsFindNobody makes every single look-up say that the user does not exist.
func (b *bench) lookupsFindNobody() {
	b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":"USER_NOT_FOUND"}`))
		return true
	})
}

func TestPass_DoesNotBelieveAListThatFails(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"second page fails": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("offset") == "0" {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
		"ends before its total": func(w http.ResponseWriter, r *http.Request) bool {
			users := `[{"id":"u-0000"}]`
			if r.URL.Query().Get("offset") != "0" {
				users = `[]`
			}
			_, _ = fmt.Fprintf(w, `{"users":%s,"total":600}`, users)
			return true
		},
		"no total": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"users":[{"id":"u-0000"}]}`))
			return true
		},
		"no users": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(`{"total":1}`)); return true },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(`<html>`)); return true },
		"a user without ID": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"users":[{}],"total":1}`))
			return true
		},
		"not allowed": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true },
		"empty": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"users":[],"total":0}`))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, quick, ids("u", 600)...)
			b.orders.ids = ids("u", 600)
			b.lookupsFindNobody()
			b.idp.OnList(answer)
			for _, accept := range []bool{false, true} {
				result := b.passWith(reconcile.Options{AcceptShrink: accept})
				require.Equal(t, reconcile.Failed, result.State)
				require.NotEmpty(t, result.Problem)
			}
			b.requireNobodyErased()
			require.Zero(t, b.count(`SELECT count(*) FROM reconciliation_missing`))
		})
	}
}

func TestPass_DoesNotBelieveAListThatShrank(t *testing.T) {
	t.Parallel()
	b := newBench(t, quick, ids("u", 100)...)
	all := ids("u", 100)
	b.orders.ids = slices.Concat(all[:5], all[50:]) // few of those with data are missing, so that only the last list can tell
	require.Equal(t, 101, b.finished().Listed)
	b.idp.Remove(ids("u", 50)...)
	b.lookupsFindNobody()
	result := b.pass()
	require.Equal(t, reconcile.ErrShrunk.Error(), result.Problem)
	result = b.pass()
	require.Equal(t, reconcile.Failed, result.State, "a list that was not believed is no measure for the next one")
	b.requireNobodyErased()

	result = b.passWith(reconcile.Options{AcceptShrink: true})
	require.Equal(t, reconcile.Finished, result.State, result.Problem)
	require.Equal(t, 5, result.Deleted)
	require.Equal(t, reconcile.Finished, b.pass().State, "and then it is the measure")
}

func TestPass_DoesNotBelieveAFirstListThatLacksMostUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t, quick, "u-0000")
	b.orders.ids = ids("u", 100)
	b.lookupsFindNobody()
	require.Equal(t, reconcile.ErrShrunk.Error(), b.pass().Problem)
	b.requireNobodyErased()
}

func TestPass_AFewAreNeverSuspicious(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) { r.Settings.Grace, r.Settings.ShrinkFloor = time.Millisecond, 2 }, "u1", "u2")
	b.orders.ids = []string{"u1", "u2"}
	b.finished()
	b.idp.Remove("u1", "u2")
	require.Equal(t, 2, b.finished().Deleted)
}

func TestPass_WithoutParticipantsSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) { r.Holders = r.Holders[:1] })
	b.orders.err = errors.New("down")
	result := b.pass()
	require.Equal(t, reconcile.ErrNoHolder.Error(), result.Problem)
	require.Equal(t, "did not answer", result.Participants[0].Problem)
}

func TestPass_KnowsWhomOnlyTheRelayKnows(t *testing.T) {
	t.Parallel()
	b := newBench(t, quick)
	_, err := b.record.Submit(t.Context(), relay.Fact{Source: "auther", Type: "user.created", Kind: relay.UserCreated, UserID: "u1", OccurredAt: b.clock()})
	require.NoError(t, err)
	require.Equal(t, reconcile.ErrShrunk.Error(), b.pass().Problem)
	require.Equal(t, 1, b.passWith(reconcile.Options{AcceptShrink: true}).Deleted)
}

func TestPass_AnErasureThatWasCompletedMeanwhileIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t, quick, ids("u", 100)...)
	b.orders.ids = append(ids("u", 100), "gone")
	b.idp.OnList(func(http.ResponseWriter, *http.Request) bool {
		// Between the participants and the look-ups.
		err := pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, completed_at)
				VALUES (gen_random_uuid(), 'erased:x', $1, 'k1', 'auther', 'complete', $2, $2, $2)`, b.record.Tombstones.Hash("gone"), b.clock().Add(time.Second))
			return err
		})
		return err != nil
	})
	require.Zero(t, b.finished().Deleted)
}

func TestPass_BansAreReadSingly(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "u1", "u2")
	b.idp.Add("u1", true)
	result := b.finished()
	require.Equal(t, 1, result.Banned)
	require.Zero(t, b.finished().Banned, "told once")
	blocked := func() int {
		return b.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND 'banned' = ANY(causes)`)
	}
	require.Equal(t, 1, blocked())

	// The list is a moment old: a ban came after its page.
	b.idp.OnList(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"users":[{"id":"u1","banned":false},{"id":"u2"},{"id":"administrator"}],"total":3}`))
		return true
	})
	require.Zero(t, b.finished().Unbanned)
	require.Equal(t, 1, blocked())
	b.idp.OnList(nil)

	b.idp.Add("u1", false)
	require.Equal(t, 1, b.finished().Unbanned)
	require.Zero(t, blocked())
	require.Equal(t, 1, b.count(`SELECT count(*) FROM events WHERE type = 'user.unbanned'`))
}

func TestPass_LiftsNoBlockThatIsNotABan(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "u1")
	require.NoError(t, b.record.Transact(t.Context(), func(tx pgx.Tx) error {
		_, err := revocations.Revoke(t.Context(), tx, authn.BlockedUser, "u1", revocations.CauseOperator, b.clock())
		return err
	}))
	b.idp.Add("u1", true)
	require.Equal(t, 1, b.finished().Banned)
	b.idp.Add("u1", false)
	require.Equal(t, 1, b.finished().Unbanned)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND causes = '{operator}'`))
}

func TestPass_RenewsTheAdministratorsSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "u1")
	b.finished()
	b.idp.EndSessions()
	b.finished()
	require.Equal(t, 2, b.idp.SignIns())
}
