package authn_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// When the breaker lets a first question through again, the others do not
// follow it before it is answered.
func TestAutherAsker_OneProbeWhenTheBreakerHalfOpens(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "auther")
	var calls atomic.Int64
	var healthy atomic.Bool
	gate := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		<-gate
		_, _ = w.Write([]byte(`{"allowed":true}`))
	}))
	t.Cleanup(server.Close)
	asker := authn.NewAutherAsker(server.URL, authn.AutherAskerOptions{FailuresToOpen: 1, OpenFor: time.Millisecond, Timeout: 5 * time.Second})
	q := authn.Question{EntityType: "order", Permission: "read"}
	_, err := asker.Ask(t.Context(), p, q)
	require.ErrorIs(t, err, authn.ErrCannotAsk)
	healthy.Store(true)
	require.Equal(t, int64(1), calls.Load())

	probed := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(probed)
		for {
			if allowed, err := asker.Ask(t.Context(), p, q); err == nil && allowed {
				return
			}
		}
	})
	require.Eventually(t, func() bool { return calls.Load() == 2 }, 5*time.Second, time.Millisecond)
	for range 200 {
		_, err := asker.Ask(t.Context(), p, q)
		require.ErrorIs(t, err, authn.ErrCannotAsk)
	}
	require.Equal(t, int64(2), calls.Load(), "one probe is out, nobody else asks")
	close(gate)
	<-probed
	wg.Wait()
	allowed, err := asker.Ask(t.Context(), p, q)
	require.NoError(t, err)
	require.True(t, allowed)
}

// Denied is 403 and could-not-ask is 503, all the way to the client; what the
// token itself grants needs nobody.
func TestAsker_DeniedAndCouldNotAskAreTwoAnswers(t *testing.T) {
	t.Parallel()
	p := principalOf(t, "shadowless",
		authntest.Permissions(map[string][]string{"client_shop:invoice": {"read", "refund"}}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}))
	endpoint := newCheckPermission(t)
	asker := authn.NewAutherAsker(endpoint.URL, authn.AutherAskerOptions{FailuresToOpen: 2})
	answer := func(permission string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		if err := authn.Authorize(t.Context(), p, asker, authn.Question{EntityType: "invoice", EntityID: "i-1", Permission: permission}); err != nil {
			authn.WriteError(w, err)
		}
		return w
	}
	endpoint.answer(200, `{"allowed":false}`)
	require.Equal(t, http.StatusForbidden, answer("refund").Code)
	endpoint.answer(502, ``)
	for range 10 {
		w := answer("refund")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		require.Equal(t, http.StatusOK, answer("read").Code, "static permissions go on")
		require.Equal(t, http.StatusForbidden, answer("void").Code)
	}
	require.Equal(t, int64(3), endpoint.calls.Load())
}
