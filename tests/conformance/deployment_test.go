package conformance_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
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
)

// deployment is token-exchange as it is run: two replicas on one database and
// one broker, an identity provider, and the issuer's address in front.
type deployment struct {
	*meshtest.Mesh
	issuer string
	db     *identitytest.Database
	a, b   *replica
	admin  *api.Admin

	t       *testing.T
	front   atomic.Pointer[url.URL]
	config  tokenexchange.Config
	keys    map[string]string // declared client → API key
	journal *journal          // of all replicas

	mu     sync.Mutex
	issued map[string]string // keys that tests had made
}

// replica is one process's worth of the service.
type replica struct {
	url     string
	service *meshtest.Service
}

// emergencyLead is shorter than the default, so that nobody waits for long; what
// is held to it is the same.
const emergencyLead = 3 * time.Second

type change func(*tokenexchange.Config)

// deploy starts two replicas.
func deploy(t *testing.T, changes ...change) *deployment {
	t.Helper()
	d := prepare(t, changes...)
	d.a = d.start()
	d.b = d.start()
	return d
}

// prepare makes everything around the service and starts no replica.
func prepare(t *testing.T, changes ...change) *deployment {
	t.Helper()
	d := &deployment{Mesh: meshtest.New(t), t: t, keys: map[string]string{}, issued: map[string]string{}, journal: newJournal()}
	d.front.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(d.front.Load())
		r.Out.Host = r.In.Host
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(front.Close)
	d.issuer = front.URL
	var backends config.Backends
	backends, d.db = d.Backends(tokenexchange.Name)
	backends.MigrationDatabaseURLFile = d.file("migrator", d.db.OwnerURL+"\n")
	d.config = tokenexchange.Config{
		Backends: backends, Issuer: d.issuer, PolicyFile: d.file("policy.yaml", policyYAML), ClientsFile: d.clientsFile(),
		KeyHashKeyFile:       d.file("hash.key", api.GenerateSecretKey("h1")),
		KeyEncryptionKeyFile: d.file("encryption.key", api.GenerateSecretKey("e1")),
		KeyLabel:             "test", SigningAlgorithm: "ES256", Mode: tokenexchange.ModeIssuer,
		SigningRotateEvery: 720 * time.Hour, SigningRetainFor: 1440 * time.Hour, SigningPublishAhead: 24 * time.Hour,
		SigningEmergencyLead: emergencyLead,
		MaxStaleness:         15 * time.Second, Audit: tokenexchange.AuditBatched, AuditRetention: 8760 * time.Hour,
	}
	for _, c := range changes {
		c(&d.config)
	}
	d.config.AuthnConfigFile = d.authnFile(d.config.Issuer)
	d.admin = d.operator()
	t.Cleanup(func() { d.journal.searched(t, d.keys, d.issued) })
	return d
}

// start runs one more replica; the issuer's address leads to the first.
func (d *deployment) start(changes ...change) *replica {
	d.t.Helper()
	s := d.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := d.config
		cfg.Common = common
		for _, c := range changes {
			c(&cfg)
		}
		return tokenexchange.Run(ctx, cfg, slog.New(tee{log.Handler(), slog.NewJSONHandler(d.journal, nil)}))
	})
	at, err := url.Parse(s.URL)
	require.NoError(d.t, err)
	if d.a == nil {
		d.front.Store(at)
	}
	return &replica{url: s.URL, service: s}
}

// operator manages clients at the issuer's address.
func (d *deployment) operator() *api.Admin {
	d.t.Helper()
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: d.issuer + "/oauth/token", ClientID: "operator", APIKeyFile: d.file("operator.key", d.keys["operator"]+"\n"),
		Audience: tokenexchange.Name, Scopes: []string{api.AdminScope},
	})
	require.NoError(d.t, err)
	d.t.Cleanup(source.Close)
	return api.NewAdmin(d.issuer, &http.Client{Transport: source.Transport(http.DefaultTransport)})
}

func (d *deployment) file(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), name)
	require.NoError(d.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (d *deployment) authnFile(issuer string) string {
	d.t.Helper()
	idp := d.IdP.Config("auther")
	raw, err := yaml.Marshal(map[string]any{
		"issuers": []any{
			map[string]any{"issuer": idp.Issuer, "profile": idp.Profile, "jwks_urls": idp.JWKSURLs, "algorithms": idp.Algorithms, "types": []string{"at+jwt", "JWT"}},
			map[string]any{"issuer": issuer, "profile": "shadowless", "jwks_urls": []string{issuer + "/.well-known/jwks.json"}, "users_of": idp.Issuer, "algorithms": []string{"ES256", "EdDSA", "RS256"}},
		},
		"entity_types": map[string]string{"order": "client_shop:order", "invoice": "client_shop:invoice"},
	})
	require.NoError(d.t, err)
	return d.file("authn.yaml", string(raw))
}

// clientsFile declares the registrations, each with a key of its own.
func (d *deployment) clientsFile() string {
	d.t.Helper()
	var declared []any
	for _, spec := range registrations {
		key, err := api.GenerateKey("test")
		require.NoError(d.t, err)
		d.keys[spec.ID] = key.Reveal()
		declared = append(declared, struct {
			api.ClientSpec `yaml:",inline"`
			KeyFiles       []string `yaml:"key_files"`
		}{spec, []string{d.file(spec.ID+".key", key.Reveal()+"\n")}})
	}
	raw, err := yaml.Marshal(map[string]any{"clients": declared})
	require.NoError(d.t, err)
	return d.file("clients.yaml", string(raw))
}

// verify holds a token to pkg/authn, as the services do.
func (d *deployment) verify(t *testing.T, token string, audiences ...string) *authn.Principal {
	t.Helper()
	cfg, err := authn.LoadConfig(d.config.AuthnConfigFile)
	require.NoError(t, err)
	v := authntest.NewVerifier(t, cfg, authn.Options{Audiences: audiences, SkipRevocation: true})
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	return p
}

// user signs an access token as the identity provider promises it.
func (d *deployment) user(sub string, options ...authntest.TokenOption) string {
	return d.IdP.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing", "console"), authntest.Tenant("acme"), authntest.Claim("kind", nil), authntest.Scope("openid profile"),
		authntest.Permissions(map[string][]string{"client_shop:order": {"place", "read"}, "client_shop:invoice": {"read", "pay", "refund"}}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}),
	}, options...)...)
}
