package httpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/httpserver"
)

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// requests returns the log lines of requests.
func (l *lines) requests() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == "request" {
			out = append(out, m)
		}
	}
	return out
}

type server struct {
	url    string
	log    *lines
	stop   context.CancelFunc
	ended  chan error
	health *httpserver.Health
}

func start(t *testing.T, h http.Handler) *server {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &server{log: &lines{}, stop: stop, ended: make(chan error, 1), health: &httpserver.Health{}}
	ready := make(chan string, 1)
	go func() {
		s.ended <- httpserver.Serve(ctx, httpserver.Config{
			Name: "test", Address: "127.0.0.1:0", InsecurePlainHTTP: true, ShutdownTimeout: 10 * time.Second, Health: s.health,
			Logger: slog.New(slog.NewJSONHandler(s.log, nil)), Ready: func(addr string) { ready <- addr },
		}, h)
	}()
	s.url = "http://" + <-ready
	t.Cleanup(stop)
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url) //nolint:noctx // a test
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

func TestServe_LogsTheRouteAndNotThePath(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s := start(t, mux)
	code, _ := get(t, s.url+"/v1/users/c2VjcmV0")
	require.Equal(t, http.StatusTeapot, code)
	require.Eventually(t, func() bool { return len(s.log.requests()) == 1 }, 5*time.Second, 5*time.Millisecond)
	line := s.log.requests()[0]
	require.Equal(t, "GET /v1/users/{id}", line["route"])
	require.EqualValues(t, http.StatusTeapot, line["status"])
	raw, err := json.Marshal(line)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "c2VjcmV0")
}

func TestServe_TurnsAPanicIntoA500(t *testing.T) {
	t.Parallel()
	s := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") }))
	code, body := get(t, s.url+"/")
	require.Equal(t, http.StatusInternalServerError, code)
	require.NotContains(t, body, "secret")
}

func TestServe_SaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	s := start(t, http.NotFoundHandler())
	code, _ := get(t, s.url+"/readyz")
	require.Equal(t, http.StatusOK, code)
	s.health.Add("postgres", func(context.Context) error { return errors.New("secret address") })
	code, body := get(t, s.url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status":"waiting","waiting_for":["postgres"]}`, body)
	code, _ = get(t, s.url+"/livez")
	require.Equal(t, http.StatusOK, code)
}

func TestServe_FinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	code := make(chan int, 1)
	go func() {
		res, err := http.Get(s.url) //nolint:noctx // a test
		if err != nil {
			code <- 0
			return
		}
		_ = res.Body.Close()
		code <- res.StatusCode
	}()
	<-begun
	s.stop()
	close(finish)
	require.Equal(t, http.StatusOK, <-code)
	require.NoError(t, <-s.ended)
}

func TestServe_RefusesABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	res, err := http.Post(s.url, "text/plain", bytes.NewReader(make([]byte, httpserver.MaxBodySize+1))) //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
}
