package authn_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

var shopTypes = map[string]string{"order": "client_shop:order", "invoice": "client_shop:invoice"}

// principalOf returns the caller of a token of the given profile.
func principalOf(t *testing.T, profile string, opts ...authntest.TokenOption) *authn.Principal {
	t.Helper()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{iss.Config(profile)}, EntityTypes: shopTypes},
		authn.Options{Audiences: []string{aud}})
	p, err := v.Verify(t.Context(), iss.UserToken("alice", opts...))
	require.NoError(t, err)
	return p
}

func TestCan(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "shadowless",
		authntest.Permissions(map[string][]string{
			"client_shop:order": {"read", "place"}, "client_shop:invoice": {"read", "refund"},
			"client_shop:order:o-1": {"cancel"}, "client_shop:invoice:i-9": {"refund"}, "platform": {"member"},
		}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}, "client_shop:order:o-1": {"void"}}))
	for _, c := range []struct {
		entityType, id, permission string
		want                       authn.Decision
	}{
		{"order", "", "read", authn.Allow},
		{"order", "o-7", "read", authn.Allow},
		{"client_shop:order", "o-7", "read", authn.Allow},
		{"order", "", "cancel", authn.Deny},
		{"order", "o-1", "cancel", authn.Allow},
		{"order", "o-2", "cancel", authn.Deny},
		{"order", "o-1", "void", authn.Deny}, // needs attributes, but is not granted at all
		{"invoice", "i-1", "refund", authn.Ask},
		{"invoice", "i-9", "refund", authn.Allow}, // granted outright for this one
		{"order", "", "READ", authn.Deny},
		{"Order", "", "read", authn.Deny},
		{"platform", "", "member", authn.Allow},
		{"", "", "read", authn.Deny},
		{"order", "", "", authn.Deny},
	} {
		require.Equal(t, c.want, p.Can(c.entityType, c.id, c.permission), "%+v", c)
	}
	require.Equal(t, authn.Deny, (*authn.Principal)(nil).Can("order", "", "read"))
	require.Equal(t, []string{"deny", "allow", "ask"}, []string{authn.Deny.String(), authn.Allow.String(), authn.Ask.String()})
}

func TestCan_WithoutPermissionsClaim(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "shadowless")
	require.True(t, p.PermissionsAuthoritative())
	require.Equal(t, authn.Deny, p.Can("order", "", "read"))
	p = principalOf(t, "auther")
	require.False(t, p.PermissionsAuthoritative())
	require.Equal(t, authn.Ask, p.Can("order", "", "read"))
	p = principalOf(t, "auther", authntest.Permissions(map[string][]string{}))
	require.True(t, p.PermissionsAuthoritative())
	require.Equal(t, authn.Deny, p.Can("order", "", "read"), "an empty claim says: none")
}

func TestCan_ClientFullAccess(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "shadowless", authntest.Claim("client_full_access", []string{"shop", ""}),
		authntest.Permissions(map[string][]string{"client_shop:invoice": {"refund"}}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}))
	require.Equal(t, authn.Allow, p.Can("invoice", "i-1", "refund"))
	require.Equal(t, authn.Allow, p.Can("client_shop:anything", "", "x"))
	require.Equal(t, authn.Deny, p.Can("client_shopping:order", "", "read"))
	require.Equal(t, authn.Deny, p.Can("client_:order", "", "read"))
	require.Equal(t, authn.Deny, p.Can("platform", "", "member"))
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	refundable := []authntest.TokenOption{
		authntest.Permissions(map[string][]string{"client_shop:invoice": {"read", "refund"}}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}),
	}
	p := principalOf(t, "shadowless", refundable...)
	broken := errors.New("database is down")
	policy := authn.LocalPolicy(map[string]authn.PolicyFunc{
		"invoice:refund": func(_ context.Context, _ *authn.Principal, q authn.Question) (bool, error) {
			if q.Attributes["broken"] != nil {
				return true, broken
			}
			amount, ok := q.Attributes["amount"].(int)
			return ok && amount <= 5000, nil
		},
	})
	ask := func(asker authn.Asker, permission string, attributes map[string]any) error {
		return authn.Authorize(t.Context(), p, asker, authn.Question{EntityType: "invoice", EntityID: "i-1", Permission: permission, Attributes: attributes})
	}
	require.NoError(t, ask(nil, "read", nil), "a static permission needs no asker")
	require.ErrorIs(t, ask(policy, "pay", nil), authn.ErrForbidden)
	require.NoError(t, ask(policy, "refund", map[string]any{"amount": 5000}))
	require.ErrorIs(t, ask(policy, "refund", map[string]any{"amount": 5001}), authn.ErrForbidden)
	require.ErrorIs(t, ask(policy, "refund", nil), authn.ErrForbidden)
	err := ask(policy, "refund", map[string]any{"broken": true})
	require.ErrorIs(t, err, authn.ErrCannotAsk)
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, authn.ErrForbidden)
	require.ErrorIs(t, ask(nil, "refund", nil), authn.ErrCannotAsk)
	require.ErrorIs(t, ask(authn.LocalPolicy(nil), "refund", nil), authn.ErrForbidden, "what has no policy is denied")
	require.ErrorIs(t, authn.Authorize(t.Context(), nil, policy, authn.Question{}), authn.ErrMissingToken)
}

// checkPermission is an Auther check-permission endpoint that answers as told.
type checkPermission struct {
	*httptest.Server
	status atomic.Int64
	body   atomic.Value
	calls  atomic.Int64
	last   atomic.Value
}

func newCheckPermission(t *testing.T) *checkPermission {
	t.Helper()
	c := &checkPermission{}
	c.answer(200, `{"allowed":true}`)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls.Add(1)
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		body["authorization"] = r.Header.Get("Authorization")
		c.last.Store(body)
		w.WriteHeader(int(c.status.Load()))
		_, _ = w.Write([]byte(c.body.Load().(string)))
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *checkPermission) answer(status int, body string) {
	c.status.Store(int64(status))
	c.body.Store(body)
}

func TestAutherAsker_Answers(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "auther")
	endpoint := newCheckPermission(t)
	asker := authn.NewAutherAsker(endpoint.URL, authn.AutherAskerOptions{FailuresToOpen: 1000})
	ask := func() (bool, error) {
		return asker.Ask(t.Context(), p, authn.Question{EntityType: "invoice", EntityID: "i-1", Permission: "refund", Attributes: map[string]any{"amount": 12}})
	}
	allowed, err := ask()
	require.NoError(t, err)
	require.True(t, allowed)
	require.Equal(t, map[string]any{
		"entityType": "client_shop:invoice", "entityId": "i-1", "permission": "refund", "authorization": "Bearer " + p.Token(),
		"resource": map[string]any{"id": "i-1", "type": "client_shop:invoice", "attributes": map[string]any{"amount": 12.0}},
	}, endpoint.last.Load())

	for _, c := range []struct {
		name   string
		status int
		body   string
		denied bool // else: could not ask
	}{
		{"no", 200, `{"allowed":false}`, true},
		{"another client's entity", 403, `{"error":"forbidden"}`, true},
		{"token not accepted there", 401, `{"error":"invalid_token"}`, false},
		{"bad question", 400, `{"error":"missing_fields"}`, false},
		{"internal error", 500, ``, false},
		{"rate limited", 429, `slow down`, false},
		{"no answer in it", 200, `{}`, false},
		{"no JSON", 200, `yes`, false},
		{"not a yes", 200, `{"allowed":"true"}`, false},
		{"redirect to nowhere", 302, ``, false},
	} {
		endpoint.answer(c.status, c.body)
		allowed, err := ask()
		require.False(t, allowed, c.name)
		if c.denied {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorIs(t, err, authn.ErrCannotAsk, c.name)
			require.NotContains(t, err.Error(), p.Token())
		}
	}
	_, err = asker.Ask(t.Context(), nil, authn.Question{})
	require.ErrorIs(t, err, authn.ErrCannotAsk)
}

func TestAutherAsker_BreakerStopsAskingAndRecovers(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "auther")
	endpoint := newCheckPermission(t)
	endpoint.answer(500, "")
	asker := authn.NewAutherAsker(endpoint.URL, authn.AutherAskerOptions{FailuresToOpen: 3, OpenFor: 50 * time.Millisecond})
	q := authn.Question{EntityType: "order", Permission: "read"}
	for range 20 {
		_, err := asker.Ask(t.Context(), p, q)
		require.ErrorIs(t, err, authn.ErrCannotAsk)
	}
	require.Equal(t, int64(3), endpoint.calls.Load(), "no retries, and none while the breaker is open")
	endpoint.answer(200, `{"allowed":true}`)
	require.Eventually(t, func() bool {
		allowed, err := asker.Ask(t.Context(), p, q)
		return err == nil && allowed
	}, 5*time.Second, 10*time.Millisecond)
}

func TestAutherAsker_RefusalsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "auther")
	endpoint := newCheckPermission(t)
	endpoint.answer(401, `{"error":"invalid_token"}`)
	asker := authn.NewAutherAsker(endpoint.URL, authn.AutherAskerOptions{FailuresToOpen: 2})
	for range 10 {
		_, err := asker.Ask(t.Context(), p, authn.Question{EntityType: "order", Permission: "read"})
		require.ErrorIs(t, err, authn.ErrCannotAsk)
	}
	require.Equal(t, int64(10), endpoint.calls.Load())
}

func TestAutherAsker_HasADeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	asker := authn.NewAutherAsker(server.URL, authn.AutherAskerOptions{Timeout: 20 * time.Millisecond})
	began := time.Now()
	_, err := asker.Ask(t.Context(), principalOf(t, "auther"), authn.Question{EntityType: "order", Permission: "read"})
	require.ErrorIs(t, err, authn.ErrCannotAsk)
	require.Less(t, time.Since(began), 2*time.Second)
}
