package reconcile_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim/scimtest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// overSCIM makes a reconciler read its users by SCIM.
func overSCIM(s *scimtest.Server, change func(*reconcile.Reconciler)) func(*reconcile.Reconciler) {
	return func(r *reconcile.Reconciler) {
		r.Users = scim.New(scim.Config{
			BaseURL: s.URL, BearerFile: s.BearerFile(), UserID: scim.AttributeID, HTTPClient: http.DefaultClient, PerSecond: 1e6,
		})
		if change != nil {
			change(r)
		}
	}
}

func TestPass_OverSCIM(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, ids("u", 250)...)
	b := newBench(t, overSCIM(s, nil))
	b.orders.ids = []string{"u-0000", "u-0249", "auth0|gone one"}
	s.Set("u-0001", false)
	first := b.finished()
	require.Equal(t, 250, first.Listed)
	require.Equal(t, 1, first.Waiting)
	require.Equal(t, 1, first.Banned)
	b.requireNobodyErased()
	b.wait(grace - time.Minute)
	require.Equal(t, 1, b.finished().Waiting)
	b.requireNobodyErased()
	b.wait(2 * time.Minute)
	require.Equal(t, 1, b.finished().Deleted)
	require.Equal(t, 2, s.Lookups("auth0|gone one"))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE user_id = 'auth0|gone one'`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND causes = '{banned}'`))
	s.Set("u-0001", true)
	require.Equal(t, 1, b.finished().Unbanned)
}

// A proxy between the relay and the provider that lost its back end answers 404
// to everything: each rule but "in the provider's own protocol" is satisfied.
func TestPass_OverSCIMBelievesNoForeign404(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "alive", "other")
	b := newBench(t, overSCIM(s, quick))
	b.orders.ids = []string{"alive"}
	s.Override(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/scim/v2/Users/alive" {
			return false
		}
		http.NotFound(w, r)
		return true
	})
	s.Remove("alive") // from the list, so that it comes to the look-ups
	result := b.passWith(reconcile.Options{AcceptShrink: true})
	require.Equal(t, reconcile.Finished, result.State, result.Problem)
	require.Equal(t, 1, result.Unanswered)
	b.requireNobodyErased()
}

// Users of a second issuer are in no list of the first one, and its single
// look-ups do not know them either.
func TestPass_UsersOfAnotherIssuerAreNotMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) {
		quick(r)
		r.Settings.Namespace = "acme|"
		r.Users = userlist.Namespaced{Source: r.Users, Namespace: "acme|"}
	}, "alive")
	b.idp.Add("banned", true)
	b.orders.ids = []string{"acme|alive", "acme|gone", "partner|alive", "alive"}
	result := b.passWith(reconcile.Options{AcceptShrink: true})
	require.Equal(t, reconcile.Finished, result.State, result.Problem)
	require.Equal(t, 2, result.Held)
	require.Equal(t, 1, result.Deleted)
	require.Equal(t, 1, result.Banned)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE user_id = 'acme|gone'`))
	require.Zero(t, b.idp.Lookups("partner|alive"))
	require.Zero(t, b.idp.Lookups("alive"))
}

// Every rule is deceived, a list and look-ups that lack half of the users and
// somebody who accepts it; the breaker still keeps their data.
func TestPass_TheBreakerHoldsWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) {
		quick(r)
		r.Recorder.Erasures.PerHour = 3
	}, "u-0000")
	b.orders.ids = ids("u", 20)
	b.lookupsFindNobody()
	result := b.passWith(reconcile.Options{AcceptShrink: true})
	require.Equal(t, reconcile.Finished, result.State, result.Problem)
	require.Equal(t, 19, result.Deleted)
	require.Equal(t, 3, b.count(`SELECT count(*) FROM erasures WHERE state = 'grace'`))
	require.Equal(t, 16, b.count(`SELECT count(*) FROM erasures WHERE state = 'held'`))
	require.Zero(t, b.count(`SELECT count(*) FROM erasures WHERE state = 'requested'`))
}

// A participant that breaks off makes fewer users missing, never more.
func TestPass_AHolderThatFailsHalfwayHidesNobodyElse(t *testing.T) {
	t.Parallel()
	b := newBench(t, quick, "u1", "u2")
	b.orders.ids, b.orders.err = []string{"u1"}, http.ErrHandlerTimeout
	result := b.finished()
	require.Equal(t, "did not answer", result.Participants[0].Problem)
	require.Zero(t, result.Missing)
	b.requireNobodyErased()
}
