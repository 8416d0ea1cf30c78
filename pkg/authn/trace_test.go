package authn_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
)

type traceKey struct{}

// roundTrips is a transport by function.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The request for a token belongs to the trace of the call that needed it, and
// goes on when that caller gives up.
func TestTokenSource_FetchesInItsCallersTrace(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	seen := make(chan any, 1)
	var canceled error
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), traceKey{}, "this one"))
	s := m.source(t, func(c *authn.TokenSourceConfig) {
		c.HTTPClient = &http.Client{Transport: roundTrips(func(r *http.Request) (*http.Response, error) {
			cancel()
			canceled = r.Context().Err()
			seen <- r.Context().Value(traceKey{})
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	_, err := s.TokenContext(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "this one", <-seen)
	require.NoError(t, canceled)
	token, err := s.TokenContext(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, token.AccessToken)
	require.Len(t, m.requests(), 1, "the flight that the first caller left served the second")
}
