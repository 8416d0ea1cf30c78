package compare_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func (s *system) reconciler(credential string) *users.Reconciler {
	s.t.Helper()
	tombstones, err := participant.LoadTombstones(s.file(participant.NewTombstoneKey("k1")))
	require.NoError(s.t, err)
	list := users.NewAutherList(s.idp.server.URL, s.file(credential), s.idp.server.Client())
	return users.NewReconciler(s.ordersDB.Pool, list, users.Options{Tombstones: tombstones})
}

const administrator = `{"email":"admin@example.com","password":"admin"}`

func TestReconcile_FindsWhatWebhooksLost(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	for _, id := range []string{"ann", "bob", "cyd", "dan"} {
		s.idp.named(id, id+" One")
		s.place(t, id)
		s.tell(identity.TypeUserCreated, id)
	}
	// All of this is lost: a rename, a ban, a deletion and a sign-up.
	s.idp.named("ann", "ann Two")
	s.idp.set("bob", func(u *person) { u.Banned = true })
	s.idp.remove("cyd")
	s.idp.named("eve", "eve One")
	r := s.reconciler(administrator)
	result, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, users.Result{Listed: 4, Changed: 3, Deleted: 1}, result)
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users WHERE id = 'ann' AND name = 'ann Two'`))
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users WHERE id = 'bob' AND banned`))
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users WHERE id = 'eve'`))
	require.Zero(t, count(t, s.ordersDB, `SELECT count(*) FROM orders WHERE user_id = 'cyd'`))
	again, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, users.Result{Listed: 4}, again)
	require.Equal(t, 4, count(t, s.billsDB, `SELECT count(*) FROM users`), "billing's table waits for its own reconciliation")
}

func TestReconcile_OldListsDoNotOverwriteNews(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	s.idp.named("ann", "Ann")
	s.tell(identity.TypeUserCreated, "ann")
	_, err := s.ordersDB.Pool.Exec(t.Context(), `UPDATE users SET name = 'Ann Newer', updated_at = now()`)
	require.NoError(t, err)
	result, err := s.reconciler(administrator).Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, result.Changed)
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users WHERE name = 'Ann Newer'`))
}

// A fault of the list must not delete anybody.
func TestReconcile_DeletesOnlyByAWholeList(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	for n := range 6 {
		id := fmt.Sprintf("u%d", n)
		s.idp.named(id, "Some Body")
		s.tell(identity.TypeUserCreated, id)
	}
	all := func() int { return count(t, s.ordersDB, `SELECT count(*) FROM users`) }
	r := s.reconciler(administrator)
	s.idp.mu.Lock()
	s.idp.cut = 2
	s.idp.mu.Unlock()
	_, err := r.Once(t.Context())
	require.ErrorIs(t, err, users.ErrIncomplete, "a list that ends early")
	s.idp.mu.Lock()
	s.idp.cut = 0
	s.idp.mu.Unlock()
	_, err = s.reconciler(`{"email":"admin@example.com","password":"wrong"}`).Once(t.Context())
	require.ErrorIs(t, err, users.ErrAnswer)
	for n := range 4 {
		s.idp.remove(fmt.Sprintf("u%d", n))
	}
	_, err = r.Once(t.Context())
	require.ErrorIs(t, err, users.ErrShrunk)
	require.Equal(t, 6, all())
	for n := range 2 {
		s.idp.named(fmt.Sprintf("u%d", n), "Some Body")
	}
	result, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, result.Deleted)
	require.Equal(t, 4, all())
}

// half is a list that forgets somebody whom a look-up finds, and meets somebody
// who has come meanwhile.
type half struct {
	meet func()
	gone []string
}

func (h half) Each(context.Context, func([]users.Profile) error) error {
	h.meet()
	return nil
}

func (h half) Lookup(_ context.Context, id string) (users.Profile, bool, error) {
	return users.Profile{ID: id}, !slices.Contains(h.gone, id), nil
}

func TestReconcile_LooksUpBeforeItDeletes(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	s.idp.named("found", "Found")
	s.tell(identity.TypeUserCreated, "found")
	source := half{gone: []string{"young"}, meet: func() { s.place(t, "young") }}
	result, err := users.NewReconciler(s.ordersDB.Pool, source, users.Options{}).Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, result.Deleted)
	require.Equal(t, 2, count(t, s.ordersDB, `SELECT count(*) FROM users`))
}

func TestReconcile_RunsByTheClock(t *testing.T) {
	t.Parallel()
	var idp *provider
	s := shadow(t, func(c *shadowConfig) {
		idp = newProvider(t)
		idp.named("ann", "Ann")
		c.users.IDPURL, c.users.ReconcileInterval = idp.server.URL, 50*time.Millisecond
		c.users.IDPCredentialFile = (&system{t: t}).file(administrator)
	})
	require.Eventually(t, func() bool {
		return count(t, s.ordersDB, `SELECT count(*) FROM users WHERE name = 'Ann'`) == 1 && count(t, s.billsDB, `SELECT count(*) FROM users WHERE name = 'Ann'`) == 1
	}, within, every)
}
