package server_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/schema"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// idp is a running identity provider on a database of its own.
type idp struct {
	t     *testing.T
	url   string
	db    *identitytest.Database
	clock *clock
	logs  *lockedBuffer
}

// clock is the real one, moved by what a test adds.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T, m mode.Mode, change ...func(*server.Options)) *idp {
	t.Helper()
	db := identitytest.Postgres(t, migrate.Set{Name: schema.Name, FS: schema.Migrations, Dir: schema.Dir})
	i := &idp{t: t, db: db, clock: &clock{}, logs: &lockedBuffer{}}
	i.serve(m, change...)
	return i
}

// serve starts a server on the harness's database.
func (i *idp) serve(m mode.Mode, change ...func(*server.Options)) {
	i.t.Helper()
	listening := httptest.NewUnstartedServer(nil)
	i.url = "http://" + listening.Listener.Addr().String()
	file := settings.Default()
	file.Clients[0].RedirectURIs = []string{"http://127.0.0.1:1/auth/callback"}
	opts := server.Options{
		Base: i.url, Mode: m, Settings: file, Pool: i.db.Pool, Seed: true, VerifyAtOnce: true,
		KeyRotation: keys.DefaultRotation, KeyRetention: keys.DefaultRetention,
		Client: &http.Client{Timeout: 10 * time.Second}, Log: slog.New(slog.NewTextHandler(i.logs, nil)), Now: i.clock.now,
	}
	for _, c := range change {
		c(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, opts)
	require.NoError(i.t, err)
	listening.Config.Handler = s.Handler
	listening.Start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Background(ctx)
	}()
	i.t.Cleanup(func() {
		listening.Close()
		cancel()
		<-done
	})
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var value map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &value), a.body)
	return value
}

// browser keeps cookies and follows no redirect.
type browser struct {
	i      *idp
	client *http.Client
}

func (i *idp) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(i.t, err)
	return &browser{i: i, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(method, path, contentType, body string, header map[string]string) answer {
	b.i.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.i.url + path
	}
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	require.NoError(b.i.t, err)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if method == http.MethodPost {
		request.Header.Set("Origin", b.i.url)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := b.client.Do(request)
	require.NoError(b.i.t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	content, err := io.ReadAll(response.Body)
	require.NoError(b.i.t, err)
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}
}

func (b *browser) get(path string) answer { return b.do(http.MethodGet, path, "", "", nil) }

func (b *browser) post(path string, value any) answer {
	b.i.t.Helper()
	body, err := json.Marshal(value)
	require.NoError(b.i.t, err)
	return b.do(http.MethodPost, path, "application/json", string(body), nil)
}

func (b *browser) form(path string, values url.Values) answer {
	return b.do(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode(), nil)
}

type fields map[string]any

// signedIn is a browser with a session.
func (i *idp) signedIn(email, password string) *browser {
	i.t.Helper()
	b := i.browser()
	got := b.post("/api/auth/sign-in/email", fields{"email": email, "password": password})
	require.Equal(i.t, http.StatusOK, got.status, got.body)
	return b
}

func (i *idp) admin() *browser { return i.signedIn("admin@example.com", "Passw0rd!admin") }
func (i *idp) alice() *browser { return i.signedIn("alice@example.com", "Passw0rd!alice") }

// session is what get-session says.
func (b *browser) session() (userID, sessionID string) {
	b.i.t.Helper()
	got := b.get("/api/auth/get-session").json(b.i.t)
	return got["user"].(map[string]any)["id"].(string), got["session"].(map[string]any)["id"].(string)
}

const signUpSecret = "development-sign-up-secret"

func (b *browser) signUp(value fields) answer {
	b.i.t.Helper()
	body, err := json.Marshal(value)
	require.NoError(b.i.t, err)
	return b.do(http.MethodPost, "/api/auth/sign-up/email", "application/json", string(body), map[string]string{"X-Internal-Signup-Secret": signUpSecret})
}
