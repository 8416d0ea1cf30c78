package faq

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// TestOwnTokens: May we sign our own JWTs with the provider's keys?
//
// No, and you cannot: its key set has public keys only, and whoever had the private ones could be any user anywhere. An issuer of your own, with its own name, keys and key set, is what to make:
// [token-exchange](../services/token-exchange) is that issuer, and services list both in one file, with `users_of` saying that it speaks of the provider's users. Each issuer's tokens are checked with that issuer's keys and no
// others. The test lets our issuer sign a token that claims to be the provider's, even under the provider's key ID, and it is refused.
// A verifier that throws all key sets into one accepts it: the test shows that, too, with a usual library, which [pkg/authn](../pkg/authn/README.md) therefore runs once for each issuer. What such a token may say is bounded
// as well: an exchanged token never outlives, nor says more than, the one it was made from.
func TestOwnTokens(t *testing.T) {
	t.Parallel()
	provider, ours := authntest.NewIssuer(t), authntest.NewIssuer(t)
	mine := ours.Config("shadowless")
	mine.UsersOf = provider.Name()
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{provider.Config("shadowless"), mine}}, authn.Options{Audiences: []string{"orders"}})
	orders := authntest.Audience("orders")
	for _, token := range []string{provider.UserToken("u", orders), ours.UserToken("u", orders)} {
		p, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "u", p.UserID())
	}
	posing := authntest.Claim("iss", provider.Name())
	forged := ours.Rotate() // a key ID that the provider does not have
	_, err := v.Verify(t.Context(), ours.UserToken("u", orders, posing, authntest.SignedBy(forged)))
	require.ErrorIs(t, err, authn.ErrUnknownKey)
	both, err := keyfunc.NewDefaultCtx(t.Context(), []string{provider.JWKSURL(), ours.JWKSURL()})
	require.NoError(t, err)
	mixed, err := jwt.Parse(ours.UserToken("u", orders, posing, authntest.SignedBy(forged)), both.Keyfunc, jwt.WithIssuer(provider.Name()))
	require.NoError(t, err, "one pot of keys cannot tell whose they are")
	require.True(t, mixed.Valid)
	forged.ID = provider.SigningKey().ID
	_, err = v.Verify(t.Context(), ours.UserToken("u", orders, posing, authntest.SignedBy(forged)))
	require.ErrorIs(t, err, authn.ErrSignature)
}

// TestEncodedNotEncrypted: Is what we put into a JWT secret?
//
// No: a JWT is signed, not encrypted, and base64 is no protection. Whoever holds the token reads it, which is the user, every script in their page, every proxy and log on
// the way. The test reads the claims with nothing but a decoder, of the provider's token and of the one that token-exchange makes from it for a call on the user's behalf. Both have the user's ID and permissions, and
// no name and no address, because none is put in: the [directory](../pkg/identity/directory) is asked where a name is shown. Nor can the reader change anything: with another user's ID in the claims
// the signature no longer fits, and orders answers 401. So the rule for a claim is that it may be read by its bearer and must not be forged by them; a
// secret, a price list, a risk score or an internal note fails the first half.
func TestEncodedNotEncrypted(t *testing.T) {
	t.Parallel()
	w := system(t)
	c, victim := w.newCustomer(), w.newCustomer()
	for issuer, token := range map[string]string{devstack.DevIDP: c.Token, devstack.TokenExchange: w.minted(c)} {
		var claims map[string]any
		decode(t, token, &claims)
		require.Contains(t, claims["iss"], w.Ports.Address(issuer))
		require.Equal(t, c.ID, claims["sub"], issuer)
		require.Contains(t, claims, "permissions", issuer)
		for _, secret := range []string{c.email, c.name, c.password} {
			require.NotContains(t, journey.Claims(token), secret, issuer)
		}
	}

	require.Equal(t, http.StatusOK, w.reads(c.Token))
	parts := strings.Split(c.Token, ".")
	changed := strings.ReplaceAll(journey.Claims(c.Token), c.ID, victim.ID)
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(changed))
	require.Equal(t, http.StatusUnauthorized, w.reads(strings.Join(parts, ".")))
}

// minted is a token that token-exchange makes from the customer's, for orders to
// call billing with.
func (w *world) minted(c customer) string {
	w.t.Helper()
	d, err := authn.NewDelegator(authn.DelegatorConfig{
		TokenURL: w.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: devstack.Orders, APIKeyFile: w.SecretFile(devstack.Orders + ".key"),
	})
	require.NoError(w.t, err)
	w.t.Cleanup(d.Close)
	token, err := d.OnBehalfOf(w.ctx(), w.principal(c.Token), devstack.Billing, billingapi.ScopeCreateInvoices)
	require.NoError(w.t, err)
	return token.AccessToken
}

// TestAPIKeyOrJWT: Between services, an API key or a JWT?
//
// Both, each where it is good: the key is the long-lived secret that a service keeps in a file, the JWT is what travels. A key in every request would have to be looked up by every
// callee at every call, and each callee could replay it elsewhere; a token is for one audience, verified locally, and dead in 15 minutes. What that costs is measured by `go test ./tests/faq -run '^$' -bench Caller` and not asserted: the best of several
// runs of it, on one busy machine without a network between, said 0.8 µs for a token that was seen before, 0.1 ms for a new one, and 0.4 ms of waiting for a key that is traded or asked about each time.
// [token-exchange](../services/token-exchange/README.md) trades one for the other. Rotation is without a gap: the successor is made, both work for an overlap that you choose, then the old
// one stops by itself; the test waits for that. Invalidation has two halves, and the test shows both: a revoked key buys no further token at once, while a token that it has bought lives
// on, until "end tokens" kills those too. Whoever finds a leaked key can revoke it with nothing but the key.
func TestAPIKeyOrJWT(t *testing.T) {
	t.Parallel()
	w := system(t)
	admin := w.exchange()
	client := w.newClient(admin, devstack.Orders)
	old, err := admin.CreateKey(w.ctx(), client, exchangeapi.NewKey{})
	require.NoError(t, err)
	withOld := w.trade(client, old.Secret)
	issued, err := withOld()
	require.NoError(t, err)

	next, err := admin.RotateKey(w.ctx(), client, old.ID, exchangeapi.RotateKey{OverlapSeconds: 3600})
	require.NoError(t, err)
	withNext := w.trade(client, next.Secret)
	for _, trade := range []trade{withOld, withNext} {
		_, err := trade()
		require.NoError(t, err, "both work during the overlap")
	}
	last, err := admin.RotateKey(w.ctx(), client, next.ID, exchangeapi.RotateKey{OverlapSeconds: 1})
	require.NoError(t, err)
	w.eventually("the key stops by itself when its overlap is over", withNext.refused)
	status, err := admin.KeyStatus(w.ctx(), next.Secret)
	require.NoError(t, err)
	require.Equal(t, exchangeapi.KeyExpired, status.State)

	_, err = admin.RevokeHeldKey(w.ctx(), old.Secret)
	require.NoError(t, err)
	w.eventually("the old key buys nothing", withOld.refused)
	_, err = w.trade(client, last.Secret)()
	require.NoError(t, err, "its successor's does")

	require.Equal(t, http.StatusForbidden, w.reads(issued.AccessToken), "the token is still one, of a program that may not list orders")
	require.NoError(t, admin.EndTokens(w.ctx(), client))
	w.eventually("the token is refused", func() bool { return w.reads(issued.AccessToken) == http.StatusUnauthorized })
}

// TestOneKeyPerJob: Twenty background jobs call our services. One key for all of them?
//
// One client and one key each. Then the audit of [token-exchange](../services/token-exchange/README.md) says which job asked for which token, a job has only the audiences and scopes that it needs, and a leaked key is revoked without
// stopping the other nineteen. The test runs two jobs that may call orders: a token for billing is refused to them. It revokes the key of one, sees it fail while the other goes on, and finds both in the audit under their own names. The
// kind of caller is a signed claim: a job is a service, never a user, so orders knows it and still answers 403 where a user's permission is needed, and it needs no "system user" in anybody's table.
// A job that works for a certain user gets a delegated token with the user's token, or names the user's ID in the body of a route that admits that client alone.
// In a cluster it needs no key at all: a projected workload token proves it ([how](../services/token-exchange/README.md)).
func TestOneKeyPerJob(t *testing.T) {
	t.Parallel()
	w := system(t)
	admin := w.exchange()
	jobs, keys, trades := [2]string{}, [2]exchangeapi.IssuedKey{}, [2]trade{}
	for i := range jobs {
		jobs[i] = w.newClient(admin, devstack.Orders)
		var err error
		keys[i], err = admin.CreateKey(w.ctx(), jobs[i], exchangeapi.NewKey{})
		require.NoError(t, err)
		trades[i] = w.trade(jobs[i], keys[i].Secret)
		token, err := trades[i]()
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, w.reads(token.AccessToken), "known, and no user")
		require.True(t, w.trade(jobs[i], keys[i].Secret, devstack.Billing).refused(), "not its audience")
	}
	require.NoError(t, admin.RevokeKey(w.ctx(), jobs[0], keys[0].ID))
	w.eventually("the first job gets no token", trades[0].refused)
	_, err := trades[1]()
	require.NoError(t, err)
	for i, granted := range []int{1, 2} {
		yes := true
		w.eventually("the audit names the job and its key", func() bool {
			list, err := admin.Exchanges(w.ctx(), exchangeapi.AuditQuery{ClientID: jobs[i], Granted: &yes})
			return err == nil && len(list.Exchanges) >= granted && list.Exchanges[0].KeyID == keys[i].ID
		})
	}
}

// TestExternalClient: A partner's program wants to call us. What do we give it?
//
// A client of its own at [token-exchange](../services/token-exchange/README.md), with the audiences and scopes that it needs, and a key. Its tokens are service tokens: the route admits "any service with this
// scope" ([the rule](../internal/access/rule.go) `access.ExternalClient`), so a partner without the scope gets 403, and so does a user, however powerful. The key itself opens nothing but the token endpoint: as a bearer token it is 401. A
// registration can also name the networks that the partner calls from, and a client is blocked with a reason that its owner can read; then it gets no further token. The partners of the test are registered at
// the running token-exchange and get their tokens there; the route is one of the test's own, behind the same access table, because no service here has one for partners. A plan bounds how much a partner may ask
// (`TestPlans_LimitAKey`). Nor do [the NetworkPolicies](network.md) let anybody outside reach token-exchange, orders or billing: for partners put a gateway before both, and add its two edges.
// There is no user for the partner, and none should be made: "integration users" are how a partner ends up with a person's rights.
func TestExternalClient(t *testing.T) {
	t.Parallel()
	w := system(t)
	const scope = "orders:export"
	mux := access.NewMux(access.Table{Service: devstack.Orders, Routes: []access.Route{
		{Pattern: "GET /v1/export", Allow: []access.Rule{access.ExternalClient(scope)}},
	}}, w.verifier())
	kit.Handle(mux, "GET /v1/export", kit.NoBody[struct{}], func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }, http.StatusOK)
	handler, err := mux.Handler()
	require.NoError(t, err)
	call := func(token string) int {
		r, answer := httptest.NewRequest(http.MethodGet, "/v1/export", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+token)
		handler.ServeHTTP(answer, r)
		return answer.Code
	}
	admin := w.exchange()
	partner := func(registration exchangeapi.Audience, networks ...string) (string, string) {
		client, err := admin.CreateClient(w.ctx(), exchangeapi.ClientSpec{
			ID: "partner-" + uuid.NewString()[:8], AllowedAddresses: networks, Audiences: map[string]exchangeapi.Audience{devstack.Orders: registration},
		})
		require.NoError(t, err)
		key, err := admin.CreateKey(w.ctx(), client.ID, exchangeapi.NewKey{})
		require.NoError(t, err)
		return client.ID, key.Secret
	}
	register := func(registration exchangeapi.Audience, networks ...string) trade {
		client, key := partner(registration, networks...)
		return w.trade(client, key)
	}
	good, key := partner(exchangeapi.Audience{Scopes: []string{scope}})
	withKey := w.trade(good, key)
	token, err := withKey()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, call(token.AccessToken))
	require.Equal(t, http.StatusUnauthorized, call(key), "a key is no token")
	require.Equal(t, http.StatusForbidden, call(w.staff().Token), "a user is no client")

	token, err = register(exchangeapi.Audience{})()
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, call(token.AccessToken), "without the scope")
	require.True(t, register(exchangeapi.Audience{Scopes: []string{scope}}, "203.0.113.0/24").refused(), "from another network")

	yes, reason := true, "the contract has ended"
	_, err = admin.ChangeClient(w.ctx(), good, exchangeapi.ClientPatch{Blocked: &yes, BlockReason: &reason})
	require.NoError(t, err)
	w.eventually("the blocked partner gets no token", withKey.refused)
	status, err := admin.KeyStatus(w.ctx(), key)
	require.NoError(t, err)
	require.Equal(t, reason, status.BlockReason)
}

// TestTwoIssuers: We move from an old provider to a new one. Can both be accepted for a while?
//
// Yes: two issuers in [AUTHN_CONFIG_FILE](configuration.md), each with its keys, profile and audiences, and a token is checked by the one that its `iss` names. Two providers that
// number their users will both have a user 7, so each needs a `user_namespace`, which becomes a part of the user ID; without it the service does not start, because otherwise one person would
// read another's orders. The test holds both. If the new provider took the accounts over under their old IDs, the namespaces may not differ: let the old issuer say
// `users_of` the new one, and an ID means the same person from either. If the IDs changed, `shadowless rekey OLD NEW` moves a user's rows in every service, with receipts. When the last old token
// has expired, the old issuer is deleted from the file, and its tokens are unknown.
func TestTwoIssuers(t *testing.T) {
	t.Parallel()
	legacy, next := authntest.NewIssuer(t), authntest.NewIssuer(t)
	old, young := legacy.Config("shadowless"), next.Config("shadowless")
	options := authn.Options{Audiences: []string{"orders"}}
	both := authn.Config{Issuers: []authn.IssuerConfig{old, young}}
	require.ErrorContains(t, both.Validate(), "user_namespace")

	both.Issuers[0].UserNamespace, both.Issuers[1].UserNamespace = "old|", "new|"
	v := authntest.NewVerifier(t, both, options)
	require.Equal(t, "old|7", userID(t, v, legacy))
	require.Equal(t, "new|7", userID(t, v, next))

	old.UsersOf = next.Name()
	v = authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{old, young}}, options)
	require.Equal(t, "7", userID(t, v, legacy))
	require.Equal(t, "7", userID(t, v, next))

	v = authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{young}}, options)
	_, err := v.Verify(t.Context(), legacy.UserToken("7", authntest.Audience("orders")))
	require.ErrorIs(t, err, authn.ErrUnknownIssuer)
}

func userID(t *testing.T, v *authn.Verifier, idp *authntest.Issuer) string {
	t.Helper()
	p, err := v.Verify(t.Context(), idp.UserToken("7", authntest.Audience("orders")))
	require.NoError(t, err)
	return p.UserID()
}
