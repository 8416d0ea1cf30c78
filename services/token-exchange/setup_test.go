package tokenexchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

const policyYAML = `
audiences:
  orders: {entity_types: ["client_shop:order"], resource: "https://orders.example"}
  billing: {entity_types: ["client_shop:invoice"]}
  console: {entity_types: ["client_shop:order", "client_shop:invoice"]}
users:
  tenant_id: acme
  default:
    permissions: {"client_shop:order": [place, read, cancel], "client_shop:invoice": [read, pay, refund]}
    abac_required: {"client_shop:invoice": [refund]}
  roles:
    staff: {permissions: {"client_shop:order": [list_any]}}
  relations:
    "client_shop:invoice": {staff: [refund_any]}
`

const createInvoices = "billing:invoices:create"

// registrations are the clients of the tests; each has a key file.
var registrations = []api.ClientSpec{
	{ID: "orders", Audiences: map[string]api.Audience{
		"billing": {Scopes: []string{createInvoices, "billing:read"}, DelegableScopes: []string{createInvoices}},
	}, Permissions: map[string][]string{"client_shop:invoice": {"read"}, "client_shop:order": {"read"}}},
	{ID: "billing", Audiences: map[string]api.Audience{
		"orders": {DelegableScopes: []string{createInvoices, "orders:read"}}, "console": {},
	}},
	{ID: "console", FrontDoor: true, OIDCClientID: "console-web", Audiences: map[string]api.Audience{
		"orders": {DelegableScopes: []string{"narrow"}}, "billing": {DelegableScopes: []string{"narrow", createInvoices}},
	}},
	{ID: "many", DefaultAudience: "orders", Audiences: map[string]api.Audience{
		"orders": {Scopes: []string{"shared", "orders:read"}}, "billing": {Scopes: []string{"shared", "billing:read"}},
	}},
	{ID: "exchanger", GrantTypes: []string{authn.GrantTokenExchange}, Audiences: map[string]api.Audience{"orders": {}}},
	{ID: "homeless"},
	{ID: "operator", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{api.AdminScope}}}},
	{ID: "identity-relay", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{"identity:user-ids", "identity:holdings", "identity:export", "identity:rekey"}}}},
}

// world is token-exchange, running, with everything around it real.
type world struct {
	*meshtest.Mesh
	t        *testing.T
	idp      *authntest.Issuer
	issuer   string // a fixed address in front of whatever instance runs
	upstream atomic.Pointer[url.URL]
	db       *identitytest.Database
	config   tokenexchange.Config
	keys     map[string]string // client → API key
	userinfo *userinfo
	log      *lines
	service  *meshtest.Service
}

type option func(*setup)

type setup struct {
	observed bool
	idTypes  []string
	change   func(*tokenexchange.Config)
}

// observed has an identity provider as Auther's build of 2026-05: EdDSA,
// id_tokens with iat in milliseconds and no typ, opaque access tokens.
func observed(s *setup) { s.observed = true }

// promisedIDTokens also accepts id_tokens of a provider that keeps its promises.
func promisedIDTokens(s *setup) { s.idTypes = []string{"at+jwt", "JWT"} }

func with(change func(*tokenexchange.Config)) option {
	return func(s *setup) { s.change = change }
}

func start(t *testing.T, options ...option) *world {
	t.Helper()
	var s setup
	for _, o := range options {
		o(&s)
	}
	w := &world{Mesh: meshtest.New(t), t: t, keys: map[string]string{}, userinfo: newUserinfo(t), log: &lines{}}
	w.idp = w.IdP
	profile := "auther"
	if s.observed {
		profile, w.idp = "auther-observed", authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(w.upstream.Load())
		r.Out.Host = r.In.Host
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(front.Close)
	w.issuer = front.URL
	w.upstream.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})

	backends, db := w.Backends(tokenexchange.Name, store.Sets()...)
	w.db = db
	backends.AuthnConfigFile = w.file("authn.yaml", w.authnYAML(profile, s.idTypes))
	w.config = tokenexchange.Config{
		Backends: backends, Issuer: w.issuer, PolicyFile: w.file("policy.yaml", policyYAML), ClientsFile: w.clientsFile(),
		KeyHashKeyFile:       w.file("hash.key", api.GenerateSecretKey("h1")),
		KeyEncryptionKeyFile: w.file("encryption.key", api.GenerateSecretKey("e1")),
		KeyLabel:             "test", SigningAlgorithm: "ES256",
		SigningRotateEvery: 720 * time.Hour, SigningRetainFor: 1440 * time.Hour, SigningPublishAhead: 24 * time.Hour,
		SigningEmergencyLead: 3 * time.Second,
		UserinfoURL:          w.userinfo.server.URL, MaxStaleness: 15 * time.Second,
	}
	if s.change != nil {
		s.change(&w.config)
	}
	w.service = w.run()
	return w
}

// run starts an instance and points the issuer's address at it.
func (w *world) run() *meshtest.Service {
	w.t.Helper()
	s := w.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := w.config
		cfg.Common = common
		ready := common.Ready
		cfg.Ready = func(addr string) {
			w.upstream.Store(&url.URL{Scheme: "http", Host: addr})
			ready(addr)
		}
		return tokenexchange.Run(ctx, cfg, slog.New(both{log.Handler(), slog.NewJSONHandler(w.log, nil)}))
	})
	w.t.Cleanup(func() { w.log.check(w.t, w.keys) })
	return s
}

func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (w *world) authnYAML(profile string, types []string) string {
	idp := w.idp.Config(profile)
	first := map[string]any{"issuer": idp.Issuer, "profile": idp.Profile, "jwks_urls": idp.JWKSURLs, "algorithms": idp.Algorithms}
	if types != nil {
		first["types"] = types
	}
	raw, err := yaml.Marshal(map[string]any{"issuers": []any{first, map[string]any{
		"issuer": w.issuer, "profile": "shadowless", "jwks_urls": []string{w.issuer + "/.well-known/jwks.json"}, "users_of": idp.Issuer,
	}}, "entity_types": map[string]string{"order": "client_shop:order", "invoice": "client_shop:invoice"}})
	require.NoError(w.t, err)
	return string(raw)
}

func (w *world) clientsFile() string {
	w.t.Helper()
	var declared []any
	for _, spec := range registrations {
		key, err := api.GenerateKey("test")
		require.NoError(w.t, err)
		w.keys[spec.ID] = key.Reveal()
		declared = append(declared, struct {
			api.ClientSpec `yaml:",inline"`
			KeyFiles       []string `yaml:"key_files"`
		}{spec, []string{w.file(spec.ID+".key", key.Reveal()+"\n")}})
	}
	raw, err := yaml.Marshal(map[string]any{"clients": declared})
	require.NoError(w.t, err)
	return w.file("clients.yaml", string(raw))
}

// verify holds a minted token to pkg/authn with the profile that services use.
func (w *world) verify(token string, audiences ...string) *authn.Principal {
	w.t.Helper()
	cfg, err := authn.LoadConfig(w.config.AuthnConfigFile)
	require.NoError(w.t, err)
	v := authntest.NewVerifier(w.t, cfg, authn.Options{Audiences: audiences, SkipRevocation: true})
	p, err := v.Verify(w.t.Context(), token)
	require.NoError(w.t, err)
	return p
}

// answer of the token endpoint.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (a answer) token(t *testing.T) string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.raw)
	token, ok := a.body["access_token"].(string)
	require.True(t, ok, a.raw)
	return token
}

// description is what RFC 6749, section 5.2 allows in error_description.
var description = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.raw)
	require.Equal(t, code, a.body["error"], a.raw)
	require.Equal(t, "application/json", a.header.Get("Content-Type"), "A3")
	require.Equal(t, "no-store", a.header.Get("Cache-Control"), "A3")
	text, ok := a.body["error_description"].(string)
	require.True(t, ok)
	require.Regexp(t, description, text, "A17")
	require.NotContains(t, a.raw, "access_token")
	if status == http.StatusUnauthorized {
		require.Contains(t, a.header.Get("WWW-Authenticate"), "Basic ", "A4")
	}
}

// send posts a form to the token endpoint. A nil authorize sends no credential.
func (w *world) send(authorize func(*http.Request), form url.Values) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.issuer+"/oauth/token", strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorize != nil {
		authorize(req)
	}
	return w.do(req)
}

func (w *world) do(req *http.Request) answer {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // a document without a body is one too
	return a
}

func basic(id, key string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key)) }
}

func (w *world) as(client string) func(*http.Request) { return basic(client, w.keys[client]) }

func credentials(extra ...string) url.Values {
	return pairs(append([]string{"grant_type", "client_credentials"}, extra...)...)
}

// exchange is a token exchange of an access token; further pairs override.
func exchange(subject string, extra ...string) url.Values {
	form := pairs("grant_type", authn.GrantTokenExchange, "subject_token", subject, "subject_token_type", authn.TokenTypeAccessToken)
	maps.Copy(form, pairs(extra...))
	return form
}

func pairs(list ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(list); i += 2 {
		form.Add(list[i], list[i+1])
	}
	return form
}

// user signs an access token as the identity provider promises it.
func (w *world) user(sub string, options ...authntest.TokenOption) string {
	return w.idp.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing", "console"), authntest.Tenant("acme"), authntest.Claim("kind", nil), authntest.Scope("openid profile"),
		authntest.Claim("acr", "urn:acr:silver"),
		authntest.Permissions(map[string][]string{"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"}, "client_shop:invoice:i-1": {"void"}}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}),
	}, options...)...)
}

// claimsOf reads a token's payload without verifying it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}

// lines keeps what a service logs and checks it for secrets.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) check(t *testing.T, keys map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	require.NotContains(t, text, "eyJ", "a token was logged")
	for _, key := range keys {
		require.NotContains(t, text, strings.Split(key, "_")[3], "an API key was logged")
	}
}

type both struct{ a, b slog.Handler }

func (h both) Enabled(ctx context.Context, l slog.Level) bool { return h.a.Enabled(ctx, l) }
func (h both) Handle(ctx context.Context, r slog.Record) error {
	_ = h.b.Handle(ctx, r.Clone())
	return h.a.Handle(ctx, r)
}
func (h both) WithAttrs(a []slog.Attr) slog.Handler { return both{h.a.WithAttrs(a), h.b.WithAttrs(a)} }
func (h both) WithGroup(n string) slog.Handler      { return both{h.a.WithGroup(n), h.b.WithGroup(n)} }

// userinfo is the identity provider's endpoint for opaque tokens.
type userinfo struct {
	server *httptest.Server
	mu     sync.Mutex
	tokens map[string]string // opaque token → sub
	down   bool
}

func newUserinfo(t *testing.T) *userinfo {
	u := &userinfo{tokens: map[string]string{}}
	u.server = httptest.NewServer(u)
	t.Cleanup(u.server.Close)
	return u
}

func (u *userinfo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	sub, ok := u.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	switch {
	case u.down:
		w.WriteHeader(http.StatusBadGateway)
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"sub": sub})
	}
}

func (u *userinfo) set(token, sub string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tokens[token] = sub
}

func (u *userinfo) setDown(down bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.down = down
}
