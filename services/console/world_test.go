package console_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/console"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

// world is a console that runs among real neighbors.
type world struct {
	t    *testing.T
	mesh *meshtest.Mesh
	idp  *testIDP
	shop *testShop
	db   *identitytest.Database
	url  string

	tombstoneFile string
}

func newWorld(t *testing.T, change ...func(*world, *console.Config)) *world {
	t.Helper()
	w := &world{t: t, mesh: meshtest.New(t)}
	w.idp = newTestIDP(t, w.mesh.IdP)
	exchange := w.mesh.Exchange.Issuer().Config("shadowless")
	exchange.UsersOf = w.mesh.IdP.Name()
	w.shop = newTestShop(t, authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{w.mesh.IdP.Config("auther"), exchange}},
		authn.Options{Audiences: []string{"orders", "billing"}, SkipRevocation: true}))
	backends, db := w.mesh.Backends(console.Name, console.Migrations()...)
	w.db, w.tombstoneFile = db, backends.TombstoneKeyFile
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	address := freeAddress(t)
	w.url = "http://" + address
	cfg := console.Config{
		Backends: backends, PublicURL: w.url, Issuer: w.mesh.IdP.Name(),
		DiscoveryURL: w.idp.URL + "/api/auth/.well-known/openid-configuration",
		ClientID:     "console", ClientSecretFile: file("client", clientSecret+"\n"), Scopes: []string{"openid", "offline_access"},
		FrontDoorAudiences: []string{"orders", "billing", "console"},
		SessionKeyFile:     file("sessions", console.NewSessionKey()), SessionLifetime: time.Hour, SessionIdle: time.Hour,
		OrdersURL: w.shop.URL, BillingURL: w.shop.URL,
		SignUpURL: w.idp.URL + "/api/auth/sign-up/email", SignUpSecretFile: file("sign-up", "sign-up-secret\n"), SignUpContext: "shop",
		SignUpBurst: 5, SignUpEvery: time.Hour,
	}
	for _, f := range change {
		f(w, &cfg)
	}
	w.mesh.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg.Common = common
		cfg.ListenAddress = address
		for _, fault := range cfg.Faults() {
			require.NoError(t, fault)
		}
		return console.Run(ctx, cfg, log)
	})
	return w
}

// freeAddress was free a moment ago: the console must know its public address
// before it listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String()
}

// browser keeps cookies, follows redirects and says what a browser says about
// where its requests come from.
type browser struct {
	w      *world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &browser{w, &http.Client{Jar: jar, Timeout: meshtest.Within}}
}

type page struct {
	status int
	body   string
	header http.Header
	at     *url.URL
}

func (b *browser) do(method, path string, form url.Values, headers ...string) page {
	b.w.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.w.url + path
	}
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, target, body)
	require.NoError(b.w.t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	require.NoError(b.w.t, err)
	defer resp.Body.Close() //nolint:errcheck // read whole
	raw, err := io.ReadAll(resp.Body)
	require.NoError(b.w.t, err)
	return page{resp.StatusCode, string(raw), resp.Header, resp.Request.URL}
}

func (b *browser) get(path string) page { b.w.t.Helper(); return b.do(http.MethodGet, path, nil) }
func (b *browser) post(path string, form url.Values) page {
	b.w.t.Helper()
	return b.do(http.MethodPost, path, form)
}

// signIn signs in and lands on the page.
func (b *browser) signIn() page {
	b.w.t.Helper()
	p := b.get("/auth/login")
	require.Equal(b.w.t, http.StatusOK, p.status, p.body)
	require.Equal(b.w.t, "/", p.at.Path)
	require.Contains(b.w.t, p.body, "My orders")
	return p
}

// begin starts to sign in and returns the provider's answer, which a browser
// would bring back.
func (b *browser) begin() *url.URL {
	b.w.t.Helper()
	follow := b.client.CheckRedirect
	defer func() { b.client.CheckRedirect = follow }()
	var answer *url.URL
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/auth/callback" {
			answer = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	b.get("/auth/login")
	require.NotNil(b.w.t, answer, "the provider did not answer")
	return answer
}

func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.w.url)
	require.NoError(b.w.t, err)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) plant(name, value string) {
	u, err := url.Parse(b.w.url)
	require.NoError(b.w.t, err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func (w *world) sessions() int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.Pool.QueryRow(w.t.Context(), `SELECT count(*) FROM sessions`).Scan(&n))
	return n
}

var formPattern = regexp.MustCompile(`action="(/orders/[^"]+/(\w+))"><input type="hidden" name="key" value="([^"]+)"`)

// action finds a button of an order on the page: where its form goes and its key.
func (p page) action(t *testing.T, verb string) (path string, form url.Values) {
	t.Helper()
	for _, m := range formPattern.FindAllStringSubmatch(p.body, -1) {
		if m[2] == verb {
			return m[1], url.Values{"key": {m[3]}}
		}
	}
	t.Fatalf("the page has no %s button", verb)
	return "", nil
}

var placePattern = regexp.MustCompile(`name="key" value="([^"]+)"`)

func (b *browser) place(from page, sku, quantity string) page {
	b.w.t.Helper()
	m := placePattern.FindStringSubmatch(from.body)
	require.NotNil(b.w.t, m)
	return b.post("/orders", url.Values{"key": {m[1]}, "sku": {sku}, "quantity": {quantity}})
}
