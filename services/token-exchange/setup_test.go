package tokenexchange_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
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
	*tokenexchangetest.Deployment
	t        *testing.T
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
	w := &world{t: t, userinfo: newUserinfo(t), log: &lines{}}
	o := tokenexchangetest.Options{
		Policy: policyYAML, Clients: registrations, Types: s.idTypes, Log: slog.NewJSONHandler(w.log, nil),
		Change: func(c *tokenexchange.Config) {
			c.UserinfoURL = w.userinfo.server.URL
			if s.change != nil {
				s.change(c)
			}
		},
	}
	if s.observed {
		o.Profile, o.IdP = "auther-observed", authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	}
	w.Deployment = tokenexchangetest.New(t, o)
	w.service = w.run()
	return w
}

// run starts an instance and points the issuer's address at it.
func (w *world) run() *meshtest.Service {
	w.t.Helper()
	s := w.Start(true)
	w.t.Cleanup(func() { w.log.check(w.t, w.Keys) })
	return s
}

func (w *world) verify(token string, audiences ...string) *authn.Principal {
	w.t.Helper()
	return w.Verify(w.t, token, audiences...)
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
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
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
