package faq

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// TestDenyList: A token lives for 15 minutes. How do we cut somebody off at once?
//
// With a deny-list that every replica has in memory: `shadowless revoke` (or the provider's own event) writes a row and an entry of a NATS bucket, each replica watches the bucket, and the next request with
// that token is refused. [No request asks anybody](identity.md), and the whole check of a token that was seen before, list included, takes about a microsecond (`BenchmarkCaller`). One token (`jti`), a session (`sid`), all of a user's or a client's tokens until now, or a user altogether until the
// block is lifted: the test does the first and the last, and the user's other tokens stay good in between. The bucket holds hashes, never IDs, and an entry goes when the longest token it
// could concern has expired. A replica knows how old its list is and is not ready without one; when revocations cannot arrive, each route's choice in the
// [access table](access.md) applies: moving money stops after 15 seconds, reading one's own orders does not.
func TestDenyList(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	other := w.signIn(c.email, c.password)
	var claims struct {
		ID string `json:"jti"`
	}
	decode(t, c.Token, &claims)
	relay := w.relay()
	refused := func(token string) func() bool {
		return func() bool { return w.reads(token) == http.StatusUnauthorized }
	}
	require.Equal(t, http.StatusOK, w.reads(c.Token))
	_, err := relay.Revoke(w.ctx(), relayapi.KindToken, claims.ID)
	require.NoError(t, err)
	w.eventually("the one token is refused", refused(c.Token))
	require.Equal(t, http.StatusOK, w.reads(other.Token))

	_, err = relay.Revoke(w.ctx(), relayapi.KindBlock, c.ID)
	require.NoError(t, err)
	w.eventually("the user is blocked", refused(other.Token))
	_, err = relay.Lift(w.ctx(), relayapi.KindBlock, c.ID)
	require.NoError(t, err)
	w.eventually("the user is no longer blocked", func() bool { return w.reads(other.Token) == http.StatusOK })
	require.Equal(t, http.StatusUnauthorized, w.reads(c.Token), "the one token stays dead")
}

// TestActor: Support staff act as a user. Does the audit show who it really was?
//
// Where the token shows it. A delegated token names the user as `sub` and who acts as `act` (RFC 8693), signed, and no request can set it: the actor is whoever authenticated to
// [token-exchange](../services/token-exchange/README.md). Its audit has a record of each exchange, and the called service logs the actor with each request; the test lets orders act for a user at billing and finds both. A
// route that admits users does not admit somebody who acts for them: the same user's token with an actor is refused, unless the
// [access table](access.md) names that client. Impersonation inside the provider is another matter. If it hands out a session token that looks like the user's own, as some do, nothing downstream can tell, and
// the audit says the user did it. Insist on `act` there, or let support have permissions of its own instead of the user's identity, as `list_any` and `contact` are here.
func TestActor(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	w.place(c.Person)
	admin := w.exchange()
	w.eventually("the audit has the exchange", func() bool {
		list, err := admin.Exchanges(w.ctx(), exchangeapi.AuditQuery{ClientID: devstack.Orders, UserID: c.ID})
		return err == nil && len(list.Exchanges) == 1 && list.Exchanges[0].Granted && list.Exchanges[0].Audience[0] == devstack.Billing
	})
	// With orders' key, what orders may do and no more.
	delegator, err := authn.NewDelegator(authn.DelegatorConfig{
		TokenURL: w.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: devstack.Orders, APIKeyFile: w.SecretFile(devstack.Orders + ".key"),
	})
	require.NoError(t, err)
	t.Cleanup(delegator.Close)
	acting, err := delegator.OnBehalfOf(w.ctx(), w.principal(c.Token), devstack.Billing)
	require.NoError(t, err)
	p := w.principal(acting.AccessToken)
	require.Equal(t, c.ID, p.UserID())
	require.Equal(t, devstack.Orders, p.Actor().ClientID())
	request := uuid.NewString()
	refused := w.send(http.MethodGet, devstack.Billing, "/v1/invoices", nil, "Authorization", "Bearer "+acting.AccessToken, "X-Request-Id", request)
	require.Equal(t, http.StatusForbidden, refused.StatusCode)
	w.eventually("the request's line in billing's log names the actor", func() bool {
		raw, err := os.ReadFile(w.StateDir + "/logs/billing.log")
		if err != nil {
			return false
		}
		for line := range strings.SplitSeq(string(raw), "\n") {
			if strings.Contains(line, request) {
				return strings.Contains(line, `"actor":"orders"`)
			}
		}
		return false
	})
	_, err = w.billing.Invoices(w.ctx(), c.Token, 0, "")
	require.NoError(t, err)
}
