package compare_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// A thousand at once, in two replicas. No lock of this program's helps: the
// database alone sees to it.
func TestProvision_AThousandFirstRequestsMakeOneRow(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, store.Migrations()...)
	idp := authntest.NewIssuer(t)
	p, err := idp.Verifier(t, "orders").Verify(t.Context(), idp.UserToken("new", authntest.Audience("orders"), authntest.Claim("name", "New Comer")))
	require.NoError(t, err)
	replicas := []*users.Table{users.NewTable(db.Pool, users.Options{}), users.NewTable(db.Pool, users.Options{})}
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			if err := replicas[n%2].Provision(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM users WHERE id = 'new' AND name = 'New Comer'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM users`))
}

func TestProvision_ByFirstOrdersAtOnce(t *testing.T) {
	t.Parallel()
	s := shadow(t, func(c *shadowConfig) { c.users.Cache = 0 })
	token := s.user("new")
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := s.orders.Place(t.Context(), token, strconv.Itoa(n), tea); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users`))
	require.Equal(t, 20, count(t, s.ordersDB, `SELECT count(*) FROM orders WHERE user_id = 'new'`))
	require.Equal(t, 1, count(t, s.billsDB, `SELECT count(*) FROM users`), "billing has heard of them from orders")
}

// The claims of a token are news like any other: as old as the token.
func TestProvision_TakesProfilesFromClaims(t *testing.T) {
	t.Parallel()
	s := shadow(t, func(c *shadowConfig) { c.users.Cache = 0 })
	list := func(options ...authntest.TokenOption) {
		_, err := s.orders.Orders(t.Context(), s.user("ann", options...), 1, "")
		require.NoError(t, err)
	}
	name := func() (name string) {
		require.NoError(t, s.ordersDB.Pool.QueryRow(t.Context(), `SELECT name FROM users WHERE id = 'ann'`).Scan(&name))
		return name
	}
	list()
	require.Empty(t, name(), "an access token need not tell")
	s.idp.named("ann", "Ann Old") // an hour ago, by the provider's clock
	s.tell(identity.TypeUserUpdated, "ann")
	require.Equal(t, "Ann Old", name())
	list(authntest.Claim("name", "Ann New"))
	require.Equal(t, "Ann New", name())
	s.tell(identity.TypeUserUpdated, "ann")
	require.Equal(t, "Ann New", name(), "the webhook is older than the token")
	require.Equal(t, 1, count(t, s.ordersDB, `SELECT count(*) FROM users`))
}

// A service that names a customer has billing make the row, before any token of
// theirs or webhook came.
func TestProvision_ForWhomAServiceNames(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	token := s.Exchange.Issuer().ServiceToken("orders", authntest.Audience("billing"), authntest.Scope(billingapi.ScopeCreateInvoices))
	in := billingapi.NewInvoice{OrderID: uuid.New(), Currency: "EUR", AmountMinor: 5, UserID: "ida", TenantID: "acme"}
	inv, err := s.billing.Create(t.Context(), token, in)
	require.NoError(t, err)
	require.Equal(t, 1, count(t, s.billsDB, `SELECT count(*) FROM users WHERE id = 'ida' AND name = ''`))
	read, err := s.billing.Invoice(t.Context(), s.user("ida"), inv.ID)
	require.NoError(t, err)
	require.Equal(t, inv, read)

	s.tell(identity.TypeUserDeleted, "ida")
	in.OrderID = uuid.New()
	_, err = s.billing.Create(t.Context(), token, in)
	refusal(t, err, 403, billingapi.CodeUserErased)
}

// A ban is a column, which a replica may have read a moment ago.
func TestProvision_RefusesTheBanned(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	s.place(t, "ben")
	s.idp.set("ben", func(u *person) { u.Name, u.Banned = "Ben", true })
	s.tell(identity.TypeUserUpdated, "ben")
	_, err := s.orders.Orders(t.Context(), s.user("ben"), 0, "")
	refusal(t, err, 403, "user-banned")
	s.idp.set("ben", func(u *person) { u.Banned = false })
	s.tell(identity.TypeUserUpdated, "ben")
	_, err = s.orders.Orders(t.Context(), s.user("ben"), 0, "")
	require.NoError(t, err)
}

// What another replica deleted is noticed by the foreign key, whatever is cached.
func TestProvision_AForeignKeyNoticesWhatTheCacheMissed(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	s.place(t, "una")
	_, err := s.ordersDB.Pool.Exec(t.Context(), `DELETE FROM users WHERE id = 'una'`)
	require.NoError(t, err)
	_, err = s.orders.Orders(t.Context(), s.user("una"), 0, "")
	require.NoError(t, err, "a read goes by the cache")
	_, err = s.orders.Place(t.Context(), s.user("una"), "k", tea)
	refusal(t, err, 403, "user-erased")
	_, err = s.orders.Place(t.Context(), s.user("una"), "k", tea)
	require.NoError(t, err, "there is no tombstone: the row is made anew")
}

// First requests and the deletion at the same time: whoever comes last, nobody
// is left.
func TestProvision_LosesEveryRaceAgainstADeletion(t *testing.T) {
	t.Parallel()
	s := shadow(t, func(c *shadowConfig) { c.users.Cache = 0 })
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for n := range 15 {
		id := fmt.Sprintf("racer-%d", n)
		token := s.user(id)
		deletion := s.idp.news("user.deleted", id)
		var answered sync.Once
		begun := make(chan struct{})
		for k := range 4 {
			wg.Go(func() {
				_, err := s.orders.Place(t.Context(), token, strconv.Itoa(k), tea)
				answered.Do(func() { close(begun) })
				refused, isRefusal := errors.AsType[*ordersapi.Error](err)
				switch {
				case err == nil:
					accepted.Add(1)
				case !isRefusal || refused.Code != "user-erased":
					t.Error(err)
				}
			})
		}
		for _, at := range []*meshtest.Service{s.ordersAt, s.billsAt} {
			wg.Go(func() {
				if n%2 == 0 {
					<-begun // else it may come before all of them
				}
				if status, err := s.send(at, deletion); err != nil || status != http.StatusNoContent {
					t.Error(status, err)
				}
			})
		}
	}
	wg.Wait()
	require.NotZero(t, accepted.Load(), "some were placed before the deletion")
	for _, table := range []string{"users", "orders", "order_items", "idempotency_keys"} {
		require.Zero(t, count(t, s.ordersDB, `SELECT count(*) FROM `+table), table)
	}
	require.Zero(t, count(t, s.billsDB, `SELECT count(*) FROM users`))
}
