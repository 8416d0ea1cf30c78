package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/autherapi"
	"github.com/shadowless/shadowless/services/identity-relay/internal/authertest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const grace = 24 * time.Hour

// holder is a participant whose answer the test decides.
type holder struct {
	name string
	ids  []string
	err  error
	// before is called when it is asked.
	before func()
}

func (h *holder) Name() string { return h.name }

func (h *holder) Each(_ context.Context, fn func([]string)) error {
	if h.before != nil {
		h.before()
	}
	fn(h.ids)
	return h.err
}

var _ reconcile.Holder = (*holder)(nil)

type bench struct {
	t      *testing.T
	db     *identitytest.Database
	idp    *authertest.Server
	orders *holder
	r      *reconcile.Reconciler
	record *relay.Recorder

	mu  sync.Mutex
	now time.Time
}

// newBench is a reconciler over an identity provider with these users.
func newBench(t *testing.T, change func(*reconcile.Reconciler), users ...string) *bench {
	t.Helper()
	b := &bench{t: t, db: identitytest.Postgres(t, schema.Sets()...), idp: authertest.New(t, users...), orders: &holder{name: "orders"}, now: time.Now()}
	keys := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(keys, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(keys)
	require.NoError(t, err)
	b.record = &relay.Recorder{
		Pool: b.db.Pool, Tombstones: tombstones, Now: b.clock, Wake: func() {},
		Erasures: erasures.Settings{Grace: time.Hour, Deadline: time.Hour, PerHour: 100, Tombstones: tombstones, Now: b.clock},
	}
	config := reconcile.Reconciler{
		Pool: b.db.Pool, Holders: []reconcile.Holder{b.orders, reconcile.Own{Pool: b.db.Pool}}, Recorder: b.record, Tombstones: tombstones,
		Users: autherapi.New(autherapi.Config{
			BaseURL: b.idp.URL, CredentialFile: authertest.CredentialFile(t), HTTPClient: http.DefaultClient, PerSecond: 1e6, Now: b.clock,
		}),
		Settings: reconcile.Settings{Grace: grace, ShrinkFraction: 0.1, ShrinkFloor: 10},
		Now:      b.clock, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	b.r = reconcile.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) pass() reconcile.Result {
	b.t.Helper()
	return b.passWith(reconcile.Options{})
}

func (b *bench) passWith(o reconcile.Options) reconcile.Result {
	b.t.Helper()
	result, err := b.r.Trigger(b.t.Context(), o)
	require.NoError(b.t, err)
	return result
}

func (b *bench) finished() reconcile.Result {
	b.t.Helper()
	result := b.pass()
	require.Equal(b.t, reconcile.Finished, result.State, result.Problem)
	return result
}

func (b *bench) count(query string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.Pool.QueryRow(b.t.Context(), query).Scan(&n))
	return n
}

func (b *bench) requireNobodyErased() {
	b.t.Helper()
	require.Zero(b.t, b.count(`SELECT count(*) FROM erasures`))
	require.Zero(b.t, b.count(`SELECT count(*) FROM revocations WHERE 'deleted' = ANY(causes)`))
}

func ids(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%04d", prefix, i))
	}
	return out
}

func TestPass_DeletesAfterTwoLookupsAndAGrace(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.orders.ids = []string{"alive", "auth0|gone one"}
	first := b.finished()
	require.Equal(t, 1, first.Waiting)
	require.Zero(t, first.Deleted)
	b.requireNobodyErased()

	b.wait(grace - time.Minute)
	require.Equal(t, 1, b.finished().Waiting)
	require.Equal(t, 1, b.idp.Lookups("auth0|gone one"), "not asked again within the grace period")
	b.requireNobodyErased()

	b.wait(2 * time.Minute)
	require.Equal(t, 1, b.finished().Deleted)
	require.Equal(t, 2, b.idp.Lookups("auth0|gone one"))
	require.Zero(t, b.idp.Lookups("alive"), "who is listed is not asked about")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE user_id = 'auth0|gone one' AND source = 'reconciliation' AND state = 'grace'`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM events WHERE type = 'user.deleted' AND user_id = 'auth0|gone one'`))
	require.Zero(t, b.count(`SELECT count(*) FROM reconciliation_missing`))

	again := b.finished()
	require.Equal(t, 1, again.UnderErasure)
	require.Zero(t, again.Missing+again.Deleted)
}

func TestPass_RemembersTheFirstLookupOverARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.orders.ids = []string{"gone"}
	require.Equal(t, 1, b.finished().Waiting)
	after := newBench(t, func(r *reconcile.Reconciler) {
		r.Pool, r.Recorder, r.Tombstones = b.db.Pool, b.record, b.record.Tombstones
	})
	after.orders.ids = []string{"gone"}
	after.wait(grace + time.Minute)
	b.wait(grace + time.Minute)
	require.Equal(t, 1, after.finished().Deleted)
}

func TestPass_ReadsParticipantsBeforeTheList(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) { r.Settings.Grace = time.Millisecond }, "alive")
	var listed bool
	b.idp.OnList(func(http.ResponseWriter, *http.Request) bool { listed = true; return false })
	// Somebody signs up and orders while the pass runs; the administration's
	// look-ups lag behind and do not know them yet.
	b.orders.ids = []string{"alive"}
	b.orders.before = func() {
		if listed {
			b.orders.ids = append(b.orders.ids, "new")
		}
	}
	require.Zero(t, b.finished().Missing)
	b.requireNobodyErased()
}

func TestPass_WhoIsFoundAfterAllIsNoLongerMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.orders.ids = []string{"u1"}
	b.finished()
	b.wait(grace + time.Minute)
	b.idp.OnList(nil)
	// The list still lacks them, the single look-up knows them.
	b.idp.OnLookup(func(w http.ResponseWriter, id string) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":%q,"banned":false}`, id)
		return true
	})
	require.Equal(t, 1, b.finished().Known)
	b.idp.OnLookup(nil)
	require.Equal(t, 1, b.finished().Waiting, "counted from the beginning")
	b.requireNobodyErased()
}

func TestPass_BeingListedOnceStartsTheGraceAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.orders.ids = []string{"u1"}
	b.finished()
	b.idp.Add("u1", false)
	b.orders.err = errors.New("down") // and nobody can tell whether all were read
	b.finished()
	b.orders.err = nil
	b.idp.Remove("u1")
	b.wait(grace + time.Minute)
	require.Equal(t, 1, b.finished().Waiting)
	b.requireNobodyErased()
}

func TestPass_TakesNothingButNotFoundForAnAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"404 of a proxy": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"404 of another kind": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":"NOT_FOUND"}`))
		},
		"500": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"500 with the code": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"code":"USER_NOT_FOUND"}`))
		},
		"200 without a user": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{}`)) },
		"200 of HTML":        func(w http.ResponseWriter) { _, _ = w.Write([]byte(`<html>`)) },
		"somebody else":      func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"id":"u2","banned":false}`)) },
		"403":                func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
		"401 for ever":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(r *reconcile.Reconciler) { r.Settings.Grace = time.Millisecond })
			b.orders.ids = []string{"u1"}
			b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { answer(w); return true })
			require.Equal(t, 1, b.finished().Unanswered)
			require.Equal(t, 1, b.finished().Unanswered)
			b.requireNobodyErased()
			require.Zero(t, b.count(`SELECT count(*) FROM reconciliation_missing`))
		})
	}
}

func TestPass_ASecondLookupThatFailsDeletesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.orders.ids = []string{"u1"}
	b.finished()
	b.wait(grace + time.Minute)
	b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusBadGateway); return true })
	require.Equal(t, 1, b.finished().Unanswered)
	b.requireNobodyErased()
	b.idp.OnLookup(nil)
	require.Equal(t, 1, b.finished().Deleted, "the next pass asks again")
}

func TestPass_GivesUpWhenLookupsKeepFailing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) { r.Settings.ShrinkFloor = 1000 })
	b.orders.ids = ids("u", 100)
	b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusBadGateway); return true })
	result := b.pass()
	require.Equal(t, reconcile.Failed, result.State)
	require.Less(t, result.Unanswered, 30)
	b.requireNobodyErased()
}
