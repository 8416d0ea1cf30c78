package authn_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// Every kind with a T, at T-1, T and T+1, by every claim that it may be
// measured by, and with clocks that differ by 5 s: the revoker's clock being
// ahead kills tokens of those seconds too; its being behind spares none that
// was issued before, only what was issued within the skew.
func TestRevocation_BoundariesOfEveryKind(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start.Add(time.Minute))
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	at := func(claim string, offset int64) authntest.TokenOption {
		return authntest.Claim(claim, start.Unix()+offset)
	}
	none := authntest.Claim("auth_time", nil)
	shapes := []struct {
		name  string
		kind  authn.RevocationKind
		id    string
		token func(offset int64) string
	}{
		{"user by orig_iat", authn.RevokedUser, "alice", func(o int64) string { return iss.UserToken("alice", at("orig_iat", o), at("auth_time", 30)) }},
		{"user by auth_time", authn.RevokedUser, "alice", func(o int64) string { return iss.UserToken("alice", at("auth_time", o)) }},
		{"user by iat", authn.RevokedUser, "alice", func(o int64) string { return iss.UserToken("alice", none, at("iat", o)) }},
		{"user of a delegated token", authn.RevokedUser, "alice", func(o int64) string {
			return iss.UserToken("alice", authntest.ActedBy("billing"), at("orig_iat", o))
		}},
		{"client for itself", authn.RevokedClient, "orders", func(o int64) string { return iss.ServiceToken("orders", at("iat", o)) }},
		{"client of a user's token", authn.RevokedClient, "console", func(o int64) string { return iss.UserToken("alice", at("iat", o)) }},
		{"client that acts", authn.RevokedClient, "billing", func(o int64) string {
			return iss.UserToken("alice", authntest.ActedBy("billing"), at("iat", o))
		}},
		{"client that acted before", authn.RevokedClient, "orders", func(o int64) string {
			return iss.UserToken("alice", authntest.ActedBy("billing", "orders"), at("orig_iat", o))
		}},
	}
	for _, s := range shapes {
		for _, skew := range []int64{-5, 0, 5} {
			t.Run(fmt.Sprintf("%s, skew %d s", s.name, skew), func(t *testing.T) {
				t.Parallel()
				v := iss.Verifier(t, aud)
				// Warm the cache: a repeated token must be judged alike.
				for offset := int64(-7); offset <= 7; offset++ {
					_, err := v.Verify(t.Context(), s.token(offset))
					require.NoError(t, err)
				}
				v.Revocations().Apply(revokeBefore(s.kind, s.id, start.Add(time.Duration(skew)*time.Second)))
				for offset := int64(-7); offset <= 7; offset++ {
					_, err := v.Verify(t.Context(), s.token(offset))
					if offset <= skew { // T itself is dead
						require.ErrorIs(t, err, authn.ErrRevoked, "T%+d", offset-skew)
					} else {
						require.NoError(t, err, "T%+d", offset-skew)
					}
				}
			})
		}
	}
}

// The kinds without a T kill whatever the token's times are.
func TestRevocation_KindsWithoutATimeKnowNoBoundary(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	for _, r := range []authn.Revocation{
		revoke(authn.RevokedToken, "j-1"), revoke(authn.RevokedSession, "s-1"), revoke(authn.BlockedUser, "alice"),
	} {
		v := iss.Verifier(t, aud)
		v.Revocations().Apply(r)
		for _, offset := range []time.Duration{-5 * time.Second, -time.Second, 0, time.Second, 5 * time.Second} {
			token := iss.UserToken("alice", authntest.ID("j-1"), authntest.Session("s-1"), authntest.IssuedAt(start.Add(offset)))
			_, err := v.Verify(t.Context(), token)
			require.ErrorIs(t, err, authn.ErrRevoked, "%s %s", r.Kind, offset)
		}
	}
}

// An entry ends by itself, on the second.
func TestRevocation_ExpiryBoundaries(t *testing.T) {
	t.Parallel()
	for _, kind := range []authn.RevocationKind{authn.RevokedToken, authn.RevokedSession, authn.RevokedUser, authn.RevokedClient, authn.BlockedUser} {
		clock := authntest.NewClock(start)
		iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
		v := iss.Verifier(t, aud)
		token := iss.UserToken("alice", authntest.ID("alice"), authntest.Session("alice"), authntest.Claim("client_id", "alice"))
		r := revokeBefore(kind, "alice", start)
		r.Expires = start.Add(time.Minute)
		v.Revocations().Apply(r)
		for _, c := range []struct {
			at   time.Duration
			dead bool
		}{{time.Minute - time.Second, true}, {time.Minute, false}, {time.Minute + time.Second, false}} {
			clock.Set(start.Add(c.at))
			_, err := v.Verify(t.Context(), token)
			require.Equal(t, c.dead, err != nil, "%s %s: %v", kind, c.at, err)
		}
	}
}

// Staleness by heartbeat, at the limit and with a heartbeat clock 5 s off.
func TestRevocation_StalenessBoundaries(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-5 * time.Second, 0, 5 * time.Second} {
		clock := authntest.NewClock(start)
		list := authn.NewRevocationList(authn.RevocationListOptions{Now: clock.Now})
		list.MarkLoaded()
		list.Heartbeat(start.Add(skew))
		beat := min(skew, 0) // one from the future counts as now
		for _, c := range []struct {
			after time.Duration
			fresh bool
		}{{-time.Second, true}, {0, true}, {time.Second, false}} {
			clock.Set(start.Add(beat + authn.DefaultMaxStaleness + c.after))
			err := list.Fresh(0)
			if c.fresh {
				require.NoError(t, err, "%s %s", skew, c.after)
			} else {
				require.ErrorIs(t, err, authn.ErrStale, "%s %s", skew, c.after)
			}
		}
	}
}
