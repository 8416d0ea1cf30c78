package reconcile_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim/scimtest"
)

// erasedDuringLookup has the user erased, up to the relay's own rows, while a pass
// asks the identity provider about them: it has read before that the user is held.
func erasedDuringLookup(t *testing.T, b *bench, s *scimtest.Server, userID string) {
	t.Helper()
	var once sync.Once
	s.Override(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/scim/v2/Users/"+userID {
			once.Do(func() { b.eraseAtTheRelay(userID) })
		}
		return false
	})
}

// eraseAtTheRelay does what is left in the relay's tables once it has erased its
// own rows and the certificate is not written yet.
func (b *bench) eraseAtTheRelay(userID string) {
	b.t.Helper()
	outcomes, err := b.record.Submit(b.t.Context(), relay.Fact{
		Source: relay.SourceAuther, Type: "user.deleted", Kind: relay.UserDeleted, UserID: userID, OccurredAt: b.clock(),
	})
	require.NoError(b.t, err)
	require.Equal(b.t, []relay.Outcome{relay.Recorded}, outcomes)
	for _, statement := range []string{
		`INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) SELECT user_hash, hash_key_id, id::text, 1 FROM erasures WHERE user_id = $1`,
		`UPDATE erasures SET state = 'requested', user_id = 'erased:' || id WHERE user_id = $1`,
		`UPDATE events SET user_id = 'erased:' || erasure_id WHERE user_id = $1`,
		`DELETE FROM reconciliation_missing WHERE user_id = $1`,
	} {
		_, err := b.db.Pool.Exec(b.t.Context(), statement, userID)
		require.NoError(b.t, err)
	}
}

func (b *bench) requireNoRowOf(userID string) {
	b.t.Helper()
	for _, table := range []string{"reconciliation_missing", "erasures", "events", "rereads"} {
		var n int
		require.NoError(b.t, b.db.Pool.QueryRow(b.t.Context(), "SELECT count(*) FROM "+table+" WHERE user_id = $1", userID).Scan(&n))
		require.Zero(b.t, n, table)
	}
}

func TestPass_DoesNotNoteAUserWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "alive")
	b := newBench(t, overSCIM(s, nil))
	b.orders.ids = []string{"alive", "gone"}
	erasedDuringLookup(t, b, s, "gone")
	require.Zero(t, b.finished().Waiting)
	b.requireNoRowOf("gone")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures`))
}

// The key changed since the erasure was opened: its hash is under the old one.
func TestPass_KnowsAnErasureUnderAnOlderKey(t *testing.T) {
	t.Parallel()
	older, newer := participant.NewTombstoneKey("k0"), participant.NewTombstoneKey("k1")
	load := func(lines string) *participant.Tombstones {
		path := filepath.Join(t.TempDir(), "tombstones")
		require.NoError(t, os.WriteFile(path, []byte(lines), 0o600))
		tombstones, err := participant.LoadTombstones(path)
		require.NoError(t, err)
		return tombstones
	}
	s := scimtest.New(t, "alive")
	b := newBench(t, overSCIM(s, func(r *reconcile.Reconciler) {
		r.Tombstones = load(newer + older)
		r.Recorder.Tombstones, r.Recorder.Erasures.Tombstones = r.Tombstones, r.Tombstones
	}))
	b.orders.ids = []string{"alive", "gone"}
	var once sync.Once
	s.Override(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/scim/v2/Users/gone" {
			once.Do(func() {
				b.eraseAtTheRelay("gone")
				_, err := b.db.Pool.Exec(t.Context(), `UPDATE erasures SET user_hash = $1, hash_key_id = 'k0'`, load(older).Hash("gone"))
				require.NoError(t, err)
			})
		}
		return false
	})
	require.Zero(t, b.finished().Waiting)
	b.requireNoRowOf("gone")
}

func TestPass_DoesNotEraseAgainAUserWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "alive")
	b := newBench(t, overSCIM(s, nil))
	b.orders.ids = []string{"alive", "gone"}
	require.Equal(t, 1, b.finished().Waiting)
	b.wait(grace + time.Minute)
	erasedDuringLookup(t, b, s, "gone")
	require.Zero(t, b.finished().Deleted)
	b.requireNoRowOf("gone")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures`))
}
