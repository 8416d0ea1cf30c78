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

func (s source) GrantsOf(context.Context, *authn.Principal) (permissions.Grants, error) {
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
