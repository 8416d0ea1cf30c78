package authn_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func revoke(kind authn.RevocationKind, id string) authn.Revocation {
	return authn.Revocation{Kind: kind, Key: authn.NewRevocationKey(kind, id)}
}

func revokeBefore(kind authn.RevocationKind, id string, before time.Time) authn.Revocation {
	r := revoke(kind, id)
	r.Before = before
	return r
}

// T-1, T and T+1: dead if originally issued at or before T.
func TestRevocation_Boundaries(t *testing.T) {
	t.Parallel()
	T := start
	for _, c := range []struct {
		name string
		opts []authntest.TokenOption
		dead bool
	}{
		{"orig_iat T-1", []authntest.TokenOption{authntest.Claim("orig_iat", T.Unix()-1)}, true},
		{"orig_iat T", []authntest.TokenOption{authntest.Claim("orig_iat", T.Unix())}, true},
		{"orig_iat T+1", []authntest.TokenOption{authntest.Claim("orig_iat", T.Unix()+1)}, false},
		{"orig_iat before auth_time", []authntest.TokenOption{authntest.Claim("orig_iat", T.Unix()), authntest.Claim("auth_time", T.Unix()+5)}, true},
		{"auth_time T", []authntest.TokenOption{authntest.Claim("auth_time", T.Unix())}, true},
		{"auth_time T+1", []authntest.TokenOption{authntest.Claim("auth_time", T.Unix()+1)}, false},
		{"iat T", []authntest.TokenOption{authntest.Claim("auth_time", nil), authntest.Claim("iat", T.Unix())}, true},
		{"iat T+1", []authntest.TokenOption{authntest.Claim("auth_time", nil), authntest.Claim("iat", T.Unix()+1)}, false},
		{"iat T and a fraction", []authntest.TokenOption{authntest.Claim("auth_time", nil), authntest.Claim("iat", float64(T.Unix())+0.9)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := authntest.NewClock(start.Add(time.Minute))
			iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
			v := iss.Verifier(t, aud)
			token := iss.UserToken("alice", c.opts...)
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			v.Revocations().Apply(revokeBefore(authn.RevokedUser, "alice", T))
			_, err = v.Verify(t.Context(), token)
			if c.dead {
				require.ErrorIs(t, err, authn.ErrRevoked)
			} else {
				require.NoError(t, err)
			}
			// Another user is not touched.
			_, err = v.Verify(t.Context(), iss.UserToken("bob", c.opts...))
			require.NoError(t, err)
		})
	}
}

func TestRevocation_FractionOfASecondIsRoundedUp(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	clock.Set(start.Add(time.Second))
	v.Revocations().Apply(revokeBefore(authn.RevokedUser, "alice", start.Add(time.Millisecond)))
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrRevoked)
	clock.Set(start.Add(2 * time.Second))
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
}

// A revoking clock that runs 5 s ahead kills tokens of those 5 s, never fewer.
func TestRevocation_ClockSkew(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	v.Revocations().Apply(revokeBefore(authn.RevokedUser, "alice", start.Add(5*time.Second)))
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrRevoked)
	clock.Advance(6 * time.Second)
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
}

func TestRevocation_EveryKind(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	user := iss.UserToken("alice", authntest.ID("j-2"), authntest.Session("s-1"), authntest.Claim("ancestors", []string{"j-1", "j-0"}))
	delegated := iss.UserToken("alice", authntest.ActedBy("billing", "orders"))
	service := iss.ServiceToken("orders")
	for _, c := range []struct {
		name    string
		revoked authn.Revocation
		token   string
		dead    bool
	}{
		{"token", revoke(authn.RevokedToken, "j-2"), user, true},
		{"parent", revoke(authn.RevokedToken, "j-1"), user, true},
		{"grandparent", revoke(authn.RevokedToken, "j-0"), user, true},
		{"another token", revoke(authn.RevokedToken, "j-3"), user, false},
		{"session", revoke(authn.RevokedSession, "s-1"), user, true},
		{"token ID that equals the session", revoke(authn.RevokedToken, "s-1"), user, false},
		{"user", revokeBefore(authn.RevokedUser, "alice", start), user, true},
		{"user of a delegated token", revokeBefore(authn.RevokedUser, "alice", start), delegated, true},
		{"blocked user", revoke(authn.BlockedUser, "alice"), user, true},
		{"client", revokeBefore(authn.RevokedClient, "orders", start), service, true},
		{"client, later token", revokeBefore(authn.RevokedClient, "orders", start.Add(-time.Second)), service, false},
		{"client that a user's token is for", revokeBefore(authn.RevokedClient, "console", start), user, true},
		{"actor", revokeBefore(authn.RevokedClient, "billing", start), delegated, true},
		{"actor before", revokeBefore(authn.RevokedClient, "orders", start), delegated, true},
		{"unknown kind", revoke(authn.RevocationKind(99), "alice"), user, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := iss.Verifier(t, aud)
			v.Revocations().Apply(c.revoked)
			_, err := v.Verify(t.Context(), c.token)
			if c.dead {
				require.ErrorIs(t, err, authn.ErrRevoked)
			} else {
				require.NoError(t, err)
			}
			lifted := c.revoked
			lifted.Lifted = true
			v.Revocations().Apply(lifted)
			_, err = v.Verify(t.Context(), c.token)
			require.NoError(t, err)
		})
	}
}

// A client that was revoked and came back can delegate for users who signed in
// before; what another service got out of its old tokens stays dead.
func TestRevocation_ClientComesBack(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start.Add(time.Minute))
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	v.Revocations().Apply(revokeBefore(authn.RevokedClient, "orders", start))
	signedIn := authntest.Claim("orig_iat", start.Unix()-60)
	_, err := v.Verify(t.Context(), iss.UserToken("alice", signedIn, authntest.ActedBy("orders")))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), iss.UserToken("alice", signedIn, authntest.ActedBy("billing", "orders")))
	require.ErrorIs(t, err, authn.ErrRevoked)
}

func TestRevocation_LaterTimeWinsInAnyOrder(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	v.Revocations().Apply(
		revokeBefore(authn.RevokedUser, "alice", start),
		revokeBefore(authn.RevokedUser, "alice", start.Add(-time.Hour)),
	)
	require.Equal(t, 1, v.Revocations().Len())
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrRevoked)
}

func TestRevocation_EntriesExpireByThemselves(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	r := revoke(authn.RevokedSession, "s-1")
	r.Expires = start.Add(10 * time.Minute)
	v.Revocations().Apply(r)
	token := iss.UserToken("alice", authntest.Session("s-1"))
	clock.Advance(10*time.Minute - time.Second)
	_, err := v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrRevoked)
	clock.Advance(time.Second)
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	clock.Advance(time.Minute)
	v.Revocations().Apply()
	require.Zero(t, v.Revocations().Len(), "forgotten")
}

func TestRevocationList_Freshness(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	list := authn.NewRevocationList(authn.RevocationListOptions{Now: clock.Now})
	require.False(t, list.Loaded())
	require.Equal(t, time.Duration(math.MaxInt64), list.Staleness())
	list.Heartbeat(start)
	require.ErrorIs(t, list.Fresh(time.Hour), authn.ErrStale, "not loaded")
	list.MarkLoaded()
	require.NoError(t, list.Fresh(time.Second))

	clock.Advance(5 * time.Second)
	require.Equal(t, 5*time.Second, list.Staleness())
	require.NoError(t, list.Fresh(5*time.Second))
	require.ErrorIs(t, list.Fresh(4*time.Second), authn.ErrStale)
	require.NoError(t, list.Fresh(0), "0 is the default limit")
	clock.Advance(authn.DefaultMaxStaleness)
	require.ErrorIs(t, list.Fresh(0), authn.ErrStale)

	list.Heartbeat(clock.Now().Add(time.Hour))
	require.Zero(t, list.Staleness(), "a heartbeat from the future counts as now")
	list.Heartbeat(start)
	require.Zero(t, list.Staleness(), "it never goes back")
	clock.Advance(time.Second)
	require.Equal(t, time.Second, list.Staleness())
}

func TestRevocationList_Hooks(t *testing.T) {
	t.Parallel()
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	var seen []authn.Revocation
	list.OnRevoke(func(r authn.Revocation) {
		require.Positive(t, list.Len(), "the list can be used, and has it")
		seen = append(seen, r)
	})
	a, b := revoke(authn.RevokedToken, "a"), revoke(authn.BlockedUser, "b")
	list.Apply(a, b)
	require.Equal(t, []authn.Revocation{a, b}, seen)
}

func TestRevocationKind_Names(t *testing.T) {
	t.Parallel()
	names := map[authn.RevocationKind]string{
		authn.RevokedToken: "jti", authn.RevokedSession: "sid", authn.RevokedUser: "user",
		authn.RevokedClient: "client", authn.BlockedUser: "block", 0: "unknown",
	}
	for kind, name := range names {
		require.Equal(t, name, kind.String())
	}
	require.NotEqual(t, authn.NewRevocationKey(authn.RevokedToken, "x"), authn.NewRevocationKey(authn.RevokedSession, "x"))
}
