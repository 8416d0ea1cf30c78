package faq

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/deciders"
	"github.com/shadowless/shadowless/examples/whohas"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// TestCheckPermissionOrLocal: check-permission, or decide locally from the token?
//
// Locally, whenever the token can tell, and ask for the rest. Whether a customer may cancel an order is in the token's `permissions`: no call, and it works while the provider is
// down. A refund depends on an amount that no token knows, so the provider lists it under `abac_required`, and the service asks with the attributes. `authn.Authorize` does both
// ([the code](../pkg/authn/ask.go)); the test counts the calls: none for the first, exactly one for the second. In the best of several runs on one busy machine, without a network between, the token answers in
// 0.2 µs and the provider in 1 ms (`go test ./tests/faq -run '^$' -bench Decision`). A token's answer can be 15 minutes old; where that is too
// old for a permission, revoke (a withdrawn grant ends the tokens that state it) before you ask on every request.
func TestCheckPermissionOrLocal(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	p := w.principal(c.Token)
	asker, calls := w.asker()
	require.NoError(t, authn.Authorize(t.Context(), p, asker, authn.Question{EntityType: "order", EntityID: "o1", Permission: "cancel"}))
	require.ErrorIs(t, authn.Authorize(t.Context(), p, asker, authn.Question{EntityType: "order", EntityID: "o1", Permission: "list_any"}), authn.ErrForbidden)
	require.Zero(t, calls.Load())
	require.NoError(t, authn.Authorize(t.Context(), p, asker, refundOf(10_00)))
	require.EqualValues(t, 1, calls.Load())
	require.ErrorIs(t, authn.Authorize(t.Context(), p, asker, refundOf(90_00)), authn.ErrForbidden)
	require.EqualValues(t, 2, calls.Load())
}

func refundOf(amount int) authn.Question {
	return authn.Question{EntityType: "invoice", EntityID: "i1", Permission: "refund", Attributes: map[string]any{"amount": amount}}
}

// TestFullDelegation: Why not delegate every decision to the provider?
//
// You can, in one function: [deciders.Delegate](../examples/deciders) asks for each decision and ignores what the token says. You gain one place for all rules, and a grant that is taken
// away counts at the next request. You pay with a call per decision (the test counts three for three), its latency in every request, and the provider's outage as your own: the
// same question that the token answers is "cannot be asked" while the provider is away. Its load grows with your requests and no longer with your sign-ins. Take it for a few
// dangerous actions, where the service asks anyway; for the rest let the token speak and end it when something is withdrawn. Data is the other limit:
// a list cannot be filtered by asking for each row.
func TestFullDelegation(t *testing.T) {
	t.Parallel()
	w := alone(t)
	c := w.newCustomer()
	p := w.principal(c.Token)
	asker, calls := w.asker()
	cancel := authn.Question{EntityType: "order", EntityID: "o1", Permission: "cancel"}
	for range 3 {
		require.NoError(t, deciders.Delegate(t.Context(), p, asker, cancel))
	}
	require.EqualValues(t, 3, calls.Load())
	require.ErrorIs(t, deciders.Delegate(t.Context(), p, asker, authn.Question{EntityType: "order", EntityID: "o1", Permission: "list_any"}), authn.ErrForbidden)

	w.grant(w.admin(), true, c.ID, "client_shop:order", "", "customer", "")
	require.ErrorIs(t, deciders.Delegate(t.Context(), p, asker, cancel), authn.ErrForbidden, "at once, with the old token")
	require.Equal(t, authn.Allow, p.Can("order", "o1", "cancel"), "which itself does not know yet")

	w.stop(devstack.DevIDP)
	require.ErrorIs(t, deciders.Delegate(t.Context(), p, asker, cancel), authn.ErrCannotAsk)
	require.NoError(t, authn.Authorize(t.Context(), p, asker, cancel), "the token would have answered")
}

// TestTwoAuthorizationSystems: The provider has permissions and our services have rules of their own. Can both live side by side?
//
// They should: each knows what the other cannot. The token says that Bob may cancel orders; that this order is not Bob's only
// [orders](../services/orders) knows, in the WHERE clause of its store, and Bob gets 404, not 403, since even its existence is none of his business. Both must allow, and neither
// can overrule the other's no: a provider's permission lifts no ownership, ownership replaces no permission. For a second system beside the provider (an OPA, a Zanzibar)
// [deciders.Both](../examples/deciders) does the same, with a denial winning even when the other is silent, and silence being no permission. Keep each rule in one
// of them: a rule in two places is a rule with two truths. Staff see others' orders by a permission of their own on a route of its own, not by an exception in the owner's.
func TestTwoAuthorizationSystems(t *testing.T) {
	t.Parallel()
	w := system(t)
	alice, bob := w.newCustomer(), w.newCustomer()
	order := w.place(alice.Person)
	require.Equal(t, authn.Allow, w.principal(bob.Token).Can("order", order.ID.String(), "cancel"), "the provider allows")
	_, err := w.orders.Cancel(w.ctx(), bob.Token, order.ID, 0)
	require.Equal(t, http.StatusNotFound, journey.Refused(err), "the service does not")
	_, err = w.orders.OrdersOf(w.ctx(), alice.Token, alice.ID, 0, "")
	require.Equal(t, http.StatusForbidden, journey.Refused(err), "owning does not replace the permission")
	_, err = w.orders.OrdersOf(w.ctx(), w.staff().Token, alice.ID, 0, "")
	require.NoError(t, err)

	p := w.principal(alice.Token)
	provider, _ := w.asker()
	other := authn.LocalPolicy(map[string]authn.PolicyFunc{}) // a second system, which denies what it does not know
	require.NoError(t, deciders.Delegate(t.Context(), p, provider, refundOf(10_00)))
	require.ErrorIs(t, deciders.Delegate(t.Context(), p, deciders.Both(provider, other), refundOf(10_00)), authn.ErrForbidden)
}

// TestRolesAndScopes: Do we need roles, scopes, or both?
//
// Both, for different questions. A scope says what the application may do for a user, who agreed to it; a role, or a permission, says what the user may do at all. A request
// needs both, and the test shows the four cases: only the one with both passes, so a powerful user's weak application stays weak, and a powerful application cannot
// lift its user. Roles are mapped to permissions in the [configuration](configuration.md) (`role_permissions`), so code asks for a permission and never for a role's
// name: then a new role is a line of configuration. In a delegated call the scope is what bounds the calling service, in `delegable_scopes` of its
// registration at [token-exchange](../services/token-exchange/README.md).
func TestRolesAndScopes(t *testing.T) {
	t.Parallel()
	idp := authntest.NewIssuer(t)
	cfg := idp.Config("oidc")
	cfg.RolePermissions = map[string]map[string][]string{"clerk": {"invoice": {"refund"}}}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{cfg}}, authn.Options{Audiences: []string{"billing"}})
	clerk := authntest.Claim("roles", []string{"clerk"})
	scope := authntest.Scope("billing:refund")
	none := authntest.Claim("permissions", map[string][]string{})
	for _, c := range []struct {
		name    string
		options []authntest.TokenOption
		want    error
	}{
		{"neither", []authntest.TokenOption{none}, authn.ErrScope},
		{"the role alone", []authntest.TokenOption{none, clerk}, authn.ErrScope},
		{"the scope alone", []authntest.TokenOption{none, scope}, authn.ErrForbidden},
		{"both", []authntest.TokenOption{none, clerk, scope}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := v.Verify(t.Context(), idp.UserToken("u", append(c.options, authntest.Audience("billing"))...))
			require.NoError(t, err)
			err = authn.RequireScopes(p, "billing:refund")
			if err == nil {
				err = authn.Authorize(t.Context(), p, nil, authn.Question{EntityType: "invoice", EntityID: "i1", Permission: "refund"})
			}
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestTokenTooBig: Our users belong to hundreds of tenants, and the JWT gets too big. What now?
//
// Put the active tenant into the token and nothing about the others. The provider builds it so (a [hook](../services/dev-idp/internal/permissions/token_build.lua) of 30 lines), and the test gives a user staff rights in 60 more tenants: the token has the same size, and the
// permissions of the one tenant. With all of them in it, it would be larger than the 8 KB that many proxies allow for all headers of a request, and a verifier here refuses
// what is above 16 KiB before it reads any of it. Switching the tenant is a new token, from the provider or at token-exchange's front door, and only there: a
// service that got a delegated token cannot change it. Data is scoped by `tenant_id` as well as `user_id` in every query. Who needs "all my tenants" for a menu asks the provider once, after the sign-in.
func TestTokenTooBig(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	admin := w.admin()
	const tenants = 60
	everything := map[string][]string{}
	for i := range tenants {
		tenant := fmt.Sprintf("tenant-%03d", i)
		w.grant(admin, false, c.ID, "client_shop:order", "", "staff", tenant)
		w.grant(admin, false, c.ID, "client_shop:invoice", "", "staff", tenant)
		everything[tenant+"/client_shop:order"] = []string{"place", "read", "cancel", "list_any", "contact", "staff"}
		everything[tenant+"/client_shop:invoice"] = []string{"read", "pay", "refund", "refund_any", "staff"}
	}
	again := w.signIn(c.email, c.password)
	require.InDelta(t, len(c.Token), len(again.Token), 8)
	p := w.principal(again.Token)
	require.Equal(t, "acme", p.TenantID())
	require.Equal(t, authn.Deny, p.Can("order", "", "list_any"), "rights in another tenant are none here")

	idp := authntest.NewIssuer(t)
	v := idp.Verifier(t, "orders")
	whole := idp.UserToken("u", authntest.Audience("orders"), authntest.Permissions(everything))
	require.Greater(t, len(whole), 8<<10)
	_, err := v.Verify(t.Context(), idp.UserToken("u", authntest.Audience("orders"), authntest.Claim("padding", strings.Repeat("x", 16<<10))))
	require.ErrorIs(t, err, authn.ErrMalformed)
}

// TestWhoHas: An administrator asks for "every user with admin on org X". Must we mirror all grants into a local table?
//
// Only for that question, and only if it is asked often. No request needs the mirror, because a token says what its bearer may do; a list of who could bear one is what tokens cannot give. The provider's own
// administration answers it too, so mirror when you must join it with your data, page through it, or ask it more often than the provider likes. [examples/whohas](../examples/whohas) is the
// projection: one table, one consumer of `access.changed`, one query, a participant of erasures. The test lets an administrator grant and revoke at the running provider, and the query follows; a row keeps
// its version, so a late grant does not undo the revocation that came before it (`TestProjection_TheLaterVersionWinsInWhateverOrder`, there).
//
// It is a copy, late at times, no place to decide requests from, and it holds what events tell and no more; the test shows three gaps. Grants from before its first event (the stream keeps 7 days) never appear by
// themselves: give it the provider's list once with `Load`; Auther has no route for that list, so take it from an export, as the test does. The webhooks name no tenant, Auther's no more than ours: a user who is
// admin of X in two tenants leaves the list when one of them takes it away, so where tenants share an entity's ID, ask the provider instead. What a group was granted is not told, only who is in it.
func TestWhoHas(t *testing.T) {
	t.Parallel()
	w := system(t)
	const org = "client_shop:org"
	orgX := "org-" + uuid.NewString()
	ann, ben, eve, admin := w.newCustomer(), w.newCustomer(), w.newCustomer(), w.admin()
	told := func(c customer, n int) func() bool {
		return w.counts(devstack.IdentityRelay, n, `SELECT count(*) FROM events
			WHERE user_id = $1 AND type = 'access.changed' AND data->>'entity_id' = $2 AND stream_sequence IS NOT NULL`, c.ID, orgX)
	}
	w.grant(admin, false, eve.ID, org, orgX, "admin", "")
	w.eventually("eve's is an event of the past", told(eve, 1))

	projection := w.whoHas(t)
	admins := func(want ...customer) func() bool { return lists(projection, org, orgX, "admin", want...) }
	w.grant(admin, false, ann.ID, org, orgX, "admin", "")
	w.grant(admin, false, ben.ID, org, orgX, "admin", "")
	w.grant(admin, false, ben.ID, org, orgX+"-other", "admin", "")
	w.eventually("the two who were granted it since are admins", admins(ann, ben))
	var list []whohas.Grant
	for _, user := range w.sql(devstack.DevIDP, `SELECT subject_id FROM grants
		WHERE subject_type = 'user' AND entity_type = $1 AND entity_id = $2 AND relation = 'admin'`, org, orgX) {
		list = append(list, whohas.Grant{EntityType: org, EntityID: orgX, Relation: "admin", UserID: user})
	}
	require.NoError(t, projection.Load(t.Context(), list))
	w.eventually("with the provider's list there are three", admins(ann, ben, eve))

	first, err := projection.Users(t.Context(), org, orgX, "admin", "", 1)
	require.NoError(t, err)
	rest, err := projection.Users(t.Context(), org, orgX, "admin", first[0], 10)
	require.NoError(t, err)
	require.Equal(t, sorted([]string{ann.ID, ben.ID, eve.ID}), append(first, rest...))
	w.grant(admin, true, ann.ID, org, orgX, "admin", "")
	w.grant(admin, true, eve.ID, org, orgX, "admin", "")
	w.eventually("one is left", admins(ben))

	// The same relation in another tenant is the same row.
	w.grant(admin, false, ben.ID, org, orgX, "admin", "globex")
	w.eventually("ben's second grant is told", told(ben, 2))
	w.grant(admin, true, ben.ID, org, orgX, "admin", "globex")
	w.eventually("nobody is listed", admins())
	require.Contains(t, w.stated(ben, org, orgX), "admin", "which the first tenant still grants")

	// What a group holds is in its members' tokens and in no event.
	group := "group-" + uuid.NewString()
	require.NoError(t, admin.Post(w.ctx(), "/api/auth/admin/grant", map[string]string{
		"subjectType": "group", "subjectId": group, "entityType": org, "entityId": orgX, "relation": "admin",
	}))
	require.NoError(t, admin.Post(w.ctx(), "/api/auth/admin/add-group-member", map[string]string{"groupId": group, "userId": ann.ID}))
	w.eventually("the membership is told", lists(projection, "group", group, "member", ann))
	require.Contains(t, w.stated(ann, org, orgX), "admin")
	require.True(t, admins()(), "and the list does not know")
}

// TestDemotion: A user loses a permission while signed in. How long does the old token still state it?
//
// For milliseconds. The provider tells of a revoked grant, the [relay](../services/identity-relay) commits it together with a revocation of the tokens that the user got before, and every
// replica refuses those; the user's application refreshes and gets a token without the permission. In the test a member of staff lists another's orders, loses the grant, is
// refused with 401, signs in again and is then refused with 403. The price is that the user's other tokens end with it, since nobody can take one claim
// out of a signed token. Where memberships churn all day that is too much, and `IDENTITY_RELAY_WITHDRAWAL_ENDS_TOKENS=false` turns it off ([configuration](configuration.md)): then the old
// permission lives until the token expires, 15 minutes at most. A new permission needs nothing: the next token has it.
func TestDemotion(t *testing.T) {
	t.Parallel()
	w := system(t)
	other, clerk, admin := w.newCustomer(), w.newCustomer(), w.admin()
	w.place(other.Person)
	reads := func(token string) int {
		_, err := w.orders.OrdersOf(w.ctx(), token, other.ID, 0, "")
		if err == nil {
			return http.StatusOK
		}
		return journey.Refused(err)
	}
	require.Equal(t, http.StatusForbidden, reads(clerk.Token))
	w.grant(admin, false, clerk.ID, "client_shop:order", "", "staff", "")
	promoted := w.signIn(clerk.email, clerk.password)
	require.Equal(t, http.StatusOK, reads(promoted.Token))

	w.grant(admin, true, clerk.ID, "client_shop:order", "", "staff", "")
	w.eventually("the old token is refused", func() bool { return reads(promoted.Token) == http.StatusUnauthorized })
	// A revocation counts whole seconds, so what is issued in the same one is dead, too.
	w.eventually("a new token lacks the permission", func() bool {
		again, err := journey.SignIn(w.ctx(), w.Running, clerk.email, clerk.password)
		return err == nil && reads(again.Token) == http.StatusForbidden
	})
}
