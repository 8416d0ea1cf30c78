package orphans_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/orphans"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// orders is a service that tells its holdings in byte order and breaks off.
type orders struct {
	holdings.Source
	all []participant.Holding
	// breaksAfter is how many pages it tells before it fails; -1: it does not.
	breaksAfter int
	first       string // where it was asked to begin
	asked       int
}

func (o *orders) Name() string { return "orders" }

func (o *orders) Holdings(_ context.Context, after string, limit int) ([]participant.Holding, string, error) {
	if o.asked == 0 {
		o.first = after
	}
	if o.asked == o.breaksAfter {
		return nil, "", errors.New("it was stopped")
	}
	o.asked++
	var page []participant.Holding
	for _, h := range o.all {
		if h.UserID <= after {
			continue
		}
		if page = append(page, h); len(page) == limit {
			return page, h.UserID, nil
		}
	}
	return page, "", nil
}

// nobody is a provider whose list names one user and who knows nobody else.
type nobody struct{}

func (nobody) Each(_ context.Context, fn func([]userlist.User) error) error {
	return fn([]userlist.User{{ID: "acme|known"}})
}

func (nobody) Lookup(context.Context, string) (userlist.User, bool, error) {
	return userlist.User{}, false, nil
}

// forgetful is a provider that has lost its users.
type forgetful struct{ nobody }

func (forgetful) Each(context.Context, func([]userlist.User) error) error { return nil }

var (
	_ peers.Peer      = (*orders)(nil)
	_ userlist.Source = nobody{}
)

// holding makes the holdings of n users whose IDs have the prefix.
func holding(prefix string, n int, erased bool, disposition participant.Disposition) []participant.Holding {
	all := make([]participant.Holding, n)
	for i := range all {
		all[i] = participant.Holding{
			UserID: fmt.Sprintf("%s%04d", prefix, i), Erased: erased,
			Places: []participant.HeldPlace{{Table: "orders", Column: "user_id", Disposition: disposition, Rows: 2}},
		}
	}
	return all
}

func keys(t *testing.T) *participant.Tombstones {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(path, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(path)
	require.NoError(t, err)
	return tombstones
}

// replica runs an auditor of one service until the test ends or stops it.
func replica(t *testing.T, db *identitytest.Database, o *orders, users userlist.Source, tombstones *participant.Tombstones) (a *orphans.Auditor, stop func()) {
	t.Helper()
	a = orphans.New(orphans.Auditor{
		Pool: db.Pool, Peers: []peers.Peer{o}, Users: users, Namespace: "acme|", Tombstones: tombstones,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return a, stop
}

func reaches(t *testing.T, a *orphans.Auditor, id uuid.UUID, state string) (audit orphans.Audit) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		audit, err = a.Get(t.Context(), id)
		return err == nil && audit.State == state
	}, 20*time.Second, 10*time.Millisecond)
	return audit
}

// A provider without users is a provider that is broken: nobody is an orphan.
func TestAudit_BelievesNoEmptyList(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	a, _ := replica(t, db, &orders{all: holding("acme|a", 3, false, participant.Erase), breaksAfter: -1}, forgetful{}, keys(t))
	id, err := a.Start(t.Context(), false)
	require.NoError(t, err)
	stopped := reaches(t, a, id, "stopped")
	require.Equal(t, "the identity provider listed no users", stopped.Problem)
	require.Zero(t, stopped.Columns[0].Orphans)
}

// What breaks off in the middle is counted once, by whichever replica goes on: IDs
// of the list's users and those of which no row is kept, of other issuers and of
// erased users, alike.
func TestAudit_ThatAnotherReplicaGoesOnWithCountsNothingTwice(t *testing.T) {
	t.Parallel()
	tombstones := keys(t)
	everybody := append(append(holding("acme|a", 40, false, participant.Erase), holding("acme|erased", 1180, true, participant.Retain)...),
		holding("partner|", 800, false, participant.Erase)...)
	for breaksAfter, goesOnAt := range map[int]string{
		1: "",             // the last one of the page was erased: their ID is not written down
		3: "partner|0279", // where it stopped
	} {
		t.Run(strconv.Itoa(breaksAfter), func(t *testing.T) {
			t.Parallel()
			db := identitytest.Postgres(t, schema.Sets()...)
			first, stop := replica(t, db, &orders{all: everybody, breaksAfter: breaksAfter}, nobody{}, tombstones)
			id, err := first.Start(t.Context(), false)
			require.NoError(t, err)
			stopped := reaches(t, first, id, "stopped")
			require.EqualValues(t, 500*breaksAfter, stopped.Holders[0].IDs)
			var erased int
			require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM orphan_audit_positions WHERE user_id LIKE 'acme|erased%'`).Scan(&erased))
			require.Zero(t, erased, "an erased user's ID is not written down")

			stop()
			second := &orders{all: everybody, breaksAfter: -1}
			_, err = db.Pool.Exec(t.Context(), `UPDATE orphan_audits SET state = 'running'`)
			require.NoError(t, err)
			replica(t, db, second, nobody{}, tombstones)
			audit := reaches(t, first, id, "finished")
			require.Equal(t, goesOnAt, second.first)
			require.EqualValues(t, len(everybody), audit.Holders[0].IDs)
			require.Equal(t, []orphans.Column{{
				Holder: "orders", Table: "orders", Column: "user_id", IDs: int64(len(everybody)), Rows: 2 * int64(len(everybody)),
				Retained: 1180, Foreign: 800, Orphans: 40,
			}}, audit.Columns)
			var positions int
			require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM orphan_audit_positions`).Scan(&positions))
			require.Zero(t, positions)
		})
	}
}
