package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
)

type verifier struct {
	p   *authn.Principal
	err error
}

func (v verifier) VerifyFor(context.Context, string, ...string) (*authn.Principal, error) {
	return v.p, v.err
}

type blocked struct{ err error }

func (b blocked) Blocked(context.Context, string) (bool, error) { return false, b.err }

type source struct{ err error }

func (s source) GrantsOf(context.Context, *authn.Principal, string) (permissions.Grants, error) {
	return permissions.Grants{}, s.err
}

// TestSubject_WhatIsDownIsNoRefusal: a caller must be able to tell "no" from
// "ask again".
func TestSubject_WhatIsDownIsNoRefusal(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	token := iss.UserToken("u1", authntest.Audience("orders"))
	p, err := iss.Verifier(t, "orders").Verify(t.Context(), token)
	require.NoError(t, err)
	down := errors.New("down")
	client := &clients.Client{Client: api.Client{ClientSpec: api.ClientSpec{ID: "orders"}}}
	for reason, change := range map[string]func(*exchange.TokenExchangeOptions){
		"revocations_stale":       func(o *exchange.TokenExchangeOptions) { o.Fresh = func() error { return authn.ErrStale } },
		"issuer_keys_unavailable": func(o *exchange.TokenExchangeOptions) { o.Verifier = verifier{err: authn.ErrKeysUnavailable} },
		"blocks_unavailable":      func(o *exchange.TokenExchangeOptions) { o.Blocks = blocked{down} },
		"permissions_unavailable": func(o *exchange.TokenExchangeOptions) { o.Permissions = source{down} },
	} {
		o := exchange.TokenExchangeOptions{
			Issuer: "https://sts.example", Verifier: verifier{p: p}, Fresh: func() error { return nil }, Blocks: blocked{}, Permissions: source{},
		}
		change(&o)
		_, err := exchange.NewTokenExchange(o).Subject(t.Context(), client,
			&exchange.Request{SubjectToken: token, SubjectTokenType: exchange.TypeAccessToken}, &audit.Attempt{})
		var refused *oauth.Error
		require.ErrorAs(t, err, &refused, reason)
		require.Equal(t, http.StatusServiceUnavailable, refused.Status)
		require.Equal(t, reason, refused.Reason)
		require.Positive(t, refused.RetryAfter)
	}
}

// TestSubject_IssuersThatAreConfigured covers providers whose scopes are the
// mesh's, and those whose access tokens have no type of their own.
func TestSubject_IssuersThatAreConfigured(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	cfg := iss.Config("oidc")
	cfg.Types = []string{"at+jwt", "JWT"}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{cfg}}, authn.Options{Audiences: []string{"orders"}, SkipRevocation: true})
	client := &clients.Client{Client: api.Client{ClientSpec: api.ClientSpec{ID: "orders"}}}
	subject := func(change func(*exchange.TokenExchangeOptions), options ...authntest.TokenOption) (*exchange.Basis, error) {
		token := iss.UserToken("u1", append([]authntest.TokenOption{authntest.Audience("orders"), authntest.Scope("a b")}, options...)...)
		p, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		o := exchange.TokenExchangeOptions{
			Issuer: "https://sts.example", Verifier: verifier{p: p}, Fresh: func() error { return nil }, Blocks: blocked{}, Permissions: source{},
		}
		change(&o)
		return exchange.NewTokenExchange(o).Subject(t.Context(), client,
			&exchange.Request{SubjectToken: token, SubjectTokenType: exchange.TypeAccessToken}, &audit.Attempt{})
	}

	b, err := subject(func(*exchange.TokenExchangeOptions) {})
	require.NoError(t, err)
	require.False(t, b.Limited, "scopes of another kind bound nothing")
	b, err = subject(func(o *exchange.TokenExchangeOptions) { o.ScopeAuthorities = []string{iss.Name()} })
	require.NoError(t, err)
	require.True(t, b.Limited)
	require.Equal(t, []string{"a", "b"}, b.Limit)

	_, err = subject(func(*exchange.TokenExchangeOptions) {}, authntest.Header("typ", "JWT"))
	var refused *oauth.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "subject_not_an_access_token", refused.Reason)
	_, err = subject(func(o *exchange.TokenExchangeOptions) { o.UntypedAccessTokens = []string{iss.Name()} }, authntest.Header("typ", "JWT"))
	require.NoError(t, err)
}
