package authn_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// caller is a user who called this service with a token for it.
func (m *mint) caller(t *testing.T, sub string, opts ...authntest.TokenOption) *authn.Principal {
	t.Helper()
	token := m.issuer.UserToken(sub, append([]authntest.TokenOption{authntest.Audience(mintAudience)}, opts...)...)
	p, err := m.subjects.Verify(t.Context(), token)
	require.NoError(t, err)
	return p
}

func TestDelegator_OnBehalfOf(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	alice := m.caller(t, "alice")
	tok, err := d.OnBehalfOf(t.Context(), alice, "billing", "b", "a", "b")
	require.NoError(t, err)
	form := m.requests()[0]
	require.Equal(t, authn.GrantTokenExchange, form.Get("grant_type"))
	require.Equal(t, alice.Token(), form.Get("subject_token"))
	require.Equal(t, "billing", form.Get("audience"))
	require.Equal(t, "a b", form.Get("scope"))

	p, err := m.issuer.Verifier(t, "billing").Verify(t.Context(), tok.AccessToken)
	require.NoError(t, err)
	require.Equal(t, "alice", p.UserID())
	require.Equal(t, "orders", p.Actor().ClientID())

	again, err := d.OnBehalfOf(t.Context(), alice, "billing", "a", "b")
	require.NoError(t, err)
	require.Equal(t, tok.AccessToken, again.AccessToken, "order of scopes does not count")
	require.Len(t, m.requests(), 1)
	for _, other := range []func() error{
		func() error { _, err := d.OnBehalfOf(t.Context(), alice, "billing", "a"); return err },
		func() error { _, err := d.OnBehalfOf(t.Context(), alice, "directory", "a", "b"); return err },
		func() error { _, err := d.OnBehalfOf(t.Context(), m.caller(t, "bob"), "billing", "a", "b"); return err },
	} {
		before := len(m.requests())
		require.NoError(t, other())
		require.Len(t, m.requests(), before+1)
	}
}

func TestDelegator_Refusals(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	_, err := d.OnBehalfOf(t.Context(), nil, "billing")
	require.ErrorIs(t, err, authn.ErrMissingToken)
	alice := m.caller(t, "alice")
	_, err = d.OnBehalfOf(t.Context(), alice, "")
	require.ErrorIs(t, err, authn.ErrTokenRefused)

	m.subjects.Revocations().Apply(revoke(authn.BlockedUser, "alice"))
	_, err = d.OnBehalfOf(t.Context(), alice, "billing")
	var refused *authn.TokenError
	require.ErrorAs(t, err, &refused, "the endpoint knows of a revocation that we have not heard of")
	require.Equal(t, "invalid_grant", refused.Code)

	m.set(func() { m.down = true })
	_, err = d.OnBehalfOf(t.Context(), m.caller(t, "bob"), "billing")
	require.ErrorIs(t, err, authn.ErrTokenUnavailable)

	m.clock.Advance(authntest.DefaultLifetime)
	_, err = d.OnBehalfOf(t.Context(), alice, "billing")
	require.ErrorIs(t, err, authn.ErrExpired)
}

func TestDelegator_RevokedParentDropsTheDelegatedToken(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	list := authn.NewRevocationList(authn.RevocationListOptions{Now: m.clock.Now})
	d := m.delegator(t, list)
	alice := m.caller(t, "alice", authntest.ID("parent"))
	_, err := d.OnBehalfOf(t.Context(), alice, "billing")
	require.NoError(t, err)
	dead := revoke(authn.RevokedToken, "parent")
	list.Apply(dead)
	_, err = d.OnBehalfOf(t.Context(), alice, "billing")
	require.ErrorIs(t, err, authn.ErrRevoked)
	require.Len(t, m.requests(), 1)
	dead.Lifted = true
	list.Apply(dead)
	_, err = d.OnBehalfOf(t.Context(), alice, "billing")
	require.NoError(t, err)
	require.Len(t, m.requests(), 2, "the old one is gone for good")
}

func TestDelegator_LiveTokenOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	alice := m.caller(t, "alice")
	first, err := d.OnBehalfOf(t.Context(), alice, "billing")
	require.NoError(t, err)
	m.set(func() { m.down = true })
	m.clock.Advance(authntest.DefaultLifetime * 82 / 100)
	for range 10 {
		tok, err := d.OnBehalfOf(t.Context(), alice, "billing")
		require.NoError(t, err)
		require.Equal(t, first.AccessToken, tok.AccessToken)
	}
	require.Eventually(t, func() bool { return len(m.requests()) == 2 }, 5*time.Second, time.Millisecond)
}

func TestDelegator_OneFlightPerCallerAndBounded(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil) // keeps 3 tokens
	alice := m.caller(t, "alice")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := d.OnBehalfOf(t.Context(), alice, "billing"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, m.requests(), 1)
	for i := range 20 {
		_, err := d.OnBehalfOf(t.Context(), m.caller(t, fmt.Sprint("user-", i)), "billing")
		require.NoError(t, err)
	}
	require.Len(t, m.requests(), 21)
}
