package harness

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func delayed(t *testing.T) *delay {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	d, err := newDelay(server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(d.close)
	return d
}

// pieces hides how long a body is, so that headers and body are written apart.
type pieces struct{ io.Reader }

func TestDelay_WaitsOnceForARequestInPieces(t *testing.T) {
	t.Parallel()
	const wait = 100 * time.Millisecond
	d := delayed(t)
	d.set(wait)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	large := strings.Repeat("x", 1<<20) // a piece is at most 64 KiB
	for range 2 {                       // the second on the connection of the first
		begun := time.Now()
		resp, err := client.Post(d.url, "text/plain", pieces{strings.NewReader(large)})
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		took := time.Since(begun)
		require.Equal(t, large, string(got))
		require.GreaterOrEqual(t, took, wait)
		require.Less(t, took, 10*wait, "not once for each of the sixteen pieces or more")
	}
}

func TestDelay_HangsUntilTheCallerGivesUpAndAnswersTheNext(t *testing.T) {
	t.Parallel()
	d := delayed(t)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, strings.NewReader("x"))
		require.NoError(t, err)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	d.set(hanging)
	require.ErrorIs(t, ask(50*time.Millisecond), context.DeadlineExceeded)
	d.set(0)
	require.NoError(t, ask(time.Minute))
	require.Eventually(t, func() bool {
		client.CloseIdleConnections()
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.open) == 0
	}, time.Minute, time.Millisecond, "who gave up is let go")
}
