package authn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// wire is an issuer's key set without a network, for tests in which minutes
// pass in no time: a real connection would keep the bubble's clock from moving.
type wire struct {
	issuer  *authntest.Issuer
	fetches atomic.Int64
	header  http.Header
	down    atomic.Bool
	hang    atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.fetches.Add(1)
	if w.hang.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if w.down.Load() {
		return nil, errors.New("connection refused")
	}
	header := w.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: header, Request: r,
		Body: io.NopCloser(bytes.NewReader(w.issuer.JWKS())),
	}, nil
}

// timed is a verifier in a bubble, where only the test moves the time.
type timed struct {
	*wire
	*authn.Verifier
}

// inBubble runs test with an issuer outside of the bubble and a verifier inside.
func inBubble(t *testing.T, test func(t *testing.T, start func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer)) {
	t.Helper()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"), authntest.WithClock(clock))
	synctest.Test(t, func(t *testing.T) {
		test(t, func(t *testing.T, keys authn.KeysConfig, header ...http.Header) timed {
			t.Helper()
			w := &wire{issuer: iss}
			if len(header) > 0 {
				w.header = header[0]
			}
			ic := iss.Config("shadowless")
			ic.Keys = keys
			v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{
				Audiences: []string{aud}, HTTPClient: &http.Client{Transport: w},
			})
			return timed{w, v}
		}, iss)
	})
}

// tokenNow signs a token at the bubble's time.
func tokenNow(iss *authntest.Issuer, opts ...authntest.TokenOption) string {
	return iss.UserToken("alice", append([]authntest.TokenOption{authntest.IssuedAt(time.Now())}, opts...)...)
}

func TestKeys_CacheControlIsRespectedWithinBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		header      http.Header
		least, most int64 // fetches in an hour
	}{
		{"nothing said: every 5 min", nil, 11, 14},
		{"a minute", http.Header{"Cache-Control": {"public, max-age=60"}}, 54, 68},
		{"a second: not below 30 s", http.Header{"Cache-Control": {"max-age=1"}}, 108, 135},
		{"zero: not below 30 s", http.Header{"Cache-Control": {"max-age=0, must-revalidate"}}, 108, 135},
		{"a day: not above the configured interval", http.Header{"Cache-Control": {"max-age=86400"}}, 11, 14},
		{"beyond every number", http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 11, 14},
		{"no-store says nothing about the time", http.Header{"Cache-Control": {"no-store, max-age=0"}}, 11, 14},
		{"time spent in a CDN counts", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"540"}}, 54, 68},
		{"used up in a CDN", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"601"}}, 108, 135},
		{"nonsense", http.Header{"Cache-Control": {"max-age=soon"}}, 11, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
				v := begin(t, authn.KeysConfig{}, c.header)
				time.Sleep(time.Hour)
				require.GreaterOrEqual(t, v.fetches.Load(), c.least)
				require.LessOrEqual(t, v.fetches.Load(), c.most)
			})
		})
	}
}

// A hundred junk kids a second, for a minute: one fetch a second at most, and
// a real new key gets through within a second all the same.
func TestKeys_JunkForAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
		v := begin(t, authn.KeysConfig{})
		_, err := v.Verify(t.Context(), tokenNow(iss))
		require.NoError(t, err)
		before := v.fetches.Load()
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					if _, err := v.Verify(ctx, tokenNow(iss, authntest.Header("kid", fmt.Sprint("junk-", n, "-", i)))); err == nil {
						t.Error("junk was accepted")
					}
					time.Sleep(time.Second)
				}
			})
		}
		time.Sleep(time.Minute)
		require.LessOrEqual(t, v.fetches.Load()-before, int64(61))
		for range 5 { // junk goes on meanwhile
			iss.Rotate()
			began := time.Now()
			_, err = v.Verify(t.Context(), tokenNow(iss))
			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(began), time.Second)
			time.Sleep(700 * time.Millisecond)
		}
		stop()
		wg.Wait()
	})
}

func TestKeys_OutageIsNeitherStormNorForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
		v := begin(t, authn.KeysConfig{})
		v.down.Store(true)
		time.Sleep(10 * time.Minute)
		require.LessOrEqual(t, v.fetches.Load(), int64(30), "1, 2, 4, 8, 16, 30, 30 … seconds")
		v.down.Store(false)
		time.Sleep(34 * time.Second)
		require.NoError(t, v.Ready(), "found again without any request")

		// With requests it does not take that long.
		w := begin(t, authn.KeysConfig{})
		w.down.Store(true)
		time.Sleep(10 * time.Minute)
		w.down.Store(false)
		began := time.Now()
		_, err := w.Verify(t.Context(), tokenNow(iss))
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}

// A key set that hangs costs requests with a known key no time at all, and
// those with an unknown one a bounded wait.
func TestKeys_HangCostsKnownKeysNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
		v := begin(t, authn.KeysConfig{Refresh: 10 * time.Second})
		_, err := v.Verify(t.Context(), tokenNow(iss))
		require.NoError(t, err)
		v.hang.Store(true)
		time.Sleep(12 * time.Second) // a refresh is under way
		synctest.Wait()
		began := time.Now()
		_, err = v.Verify(t.Context(), tokenNow(iss, authntest.ID("another")))
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
		_, err = v.Verify(t.Context(), tokenNow(iss, authntest.Header("kid", "unknown")))
		require.ErrorIs(t, err, authn.ErrKeysUnavailable)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
	})
}

// A withdrawn key lives for Refresh × 1.1 + RemovedTrust at most, though nobody
// asks for another key.
func TestKeys_RemovedKeyBoundHoldsWithoutRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
		v := begin(t, authn.KeysConfig{})
		old := iss.SigningKey()
		sign := func() string { return tokenNow(iss, authntest.SignedBy(old)) }
		_, err := v.Verify(t.Context(), sign())
		require.NoError(t, err)
		iss.Rotate()
		iss.Prune()
		removed := time.Now()
		time.Sleep(5 * time.Minute)
		_, err = v.Verify(t.Context(), sign())
		require.NoError(t, err)
		for err == nil {
			time.Sleep(time.Second)
			_, err = v.Verify(t.Context(), sign())
		}
		require.ErrorIs(t, err, authn.ErrUnknownKey)
		require.LessOrEqual(t, time.Since(removed), 10*time.Minute+31*time.Second)
	})
}

func TestKeys_LastGoodSetOutlivesAnOutageUpToItsMaximumAge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, begin func(*testing.T, authn.KeysConfig, ...http.Header) timed, iss *authntest.Issuer) {
		v := begin(t, authn.KeysConfig{})
		_, err := v.Verify(t.Context(), tokenNow(iss))
		require.NoError(t, err)
		v.down.Store(true)
		time.Sleep(72*time.Hour - time.Second)
		_, err = v.Verify(t.Context(), tokenNow(iss))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = v.Verify(t.Context(), tokenNow(iss))
		require.ErrorIs(t, err, authn.ErrKeysUnavailable)
	})
}

func TestKeys_UnchangedSetIsNotSentAgain(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	ic := iss.Config("shadowless")
	ic.Keys.MaxAge = 10 * time.Minute
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}, Now: clock.Now})
	first := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), first)
	require.NoError(t, err)
	require.Zero(t, iss.NotModified())

	clock.Advance(9 * time.Minute)
	refetch(t, v, iss, first)
	require.Equal(t, 1, iss.NotModified())
	clock.Advance(9 * time.Minute)
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err, "304 says that the keys are good from now on")

	iss.Rotate()
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	require.Equal(t, 1, iss.NotModified(), "a changed set is sent whole")

	// A 304 to a question that was not conditional says nothing.
	fresh := authntest.NewIssuer(t)
	fresh.Trouble(authntest.Unchanged)
	_, err = fresh.Verifier(t, aud).Verify(t.Context(), fresh.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
}

// Whatever the server does, good keys stay, foreign ones do not come in, and
// the end of the trouble is noticed.
func TestKeys_EveryTrouble(t *testing.T) {
	t.Parallel()
	for _, trouble := range authntest.Troubles() {
		t.Run(string(trouble), func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
			iss.Trouble(trouble)
			v := iss.Verifier(t, aud)
			_, err := v.Verify(t.Context(), iss.UserToken("alice"))
			require.ErrorIs(t, err, authn.ErrKeysUnavailable)
			iss.Up()
			require.Eventually(t, func() bool {
				_, err := v.Verify(t.Context(), iss.UserToken("alice"))
				return err == nil
			}, 20*time.Second, 10*time.Millisecond)

			iss.Trouble(trouble)
			_, err = v.Verify(t.Context(), iss.UserToken("alice", authntest.SignedBy(iss.ForeignKey())))
			require.Error(t, err)
			_, err = v.Verify(t.Context(), iss.UserToken("bob"))
			require.NoError(t, err)
			require.NoError(t, v.Ready())
		})
	}
}

func TestKeys_SlowIssuerStillServesTheFirstRequest(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	iss.Slow(300 * time.Millisecond)
	_, err := iss.Verifier(t, aud).Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
}

// A set of the largest allowed number of keys works; one key more costs only
// that key.
func TestKeys_SetOfManyKeys(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	for range 255 {
		iss.Rotate()
	}
	v := iss.Verifier(t, aud)
	last := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), last)
	require.NoError(t, err)
	iss.Rotate()
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrUnknownKey)
	_, err = v.Verify(t.Context(), last)
	require.NoError(t, err)
}
