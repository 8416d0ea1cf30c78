// Package tokenexchangetest runs token-exchange for tests as it is deployed: any
// number of replicas on one database and one broker, an identity provider, and
// the issuer's address in front of them.
package tokenexchangetest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
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

// ShortLead makes an emergency rotation take effect sooner than by default, for
// tests that wait for it; what is held to it is the same.
func ShortLead(c *tokenexchange.Config) { c.SigningEmergencyLead = 5 * time.Second }

// Options of New. Policy and Log are required.
type Options struct {
	Policy  string           // the policy file
	Clients []api.ClientSpec // declared, each with a key of its own
	// IdP signs users' tokens; nil: the mesh's. Profile is how it is trusted;
	// empty: "auther". Types are the `typ`s of its tokens; nil: the profile's.
	IdP     *authntest.Issuer
	Profile string
	Types   []string
	Log     slog.Handler // gets every replica's lines too
	Change  func(*tokenexchange.Config)
}

// Deployment is everything around the replicas. It has none before Start.
type Deployment struct {
	*meshtest.Mesh
	Issuer   string                  // the address in front, which is the issuer's name
	Front    atomic.Pointer[url.URL] // the replica that it leads to
	Config   tokenexchange.Config
	Database *identitytest.Database
	Users    *authntest.Issuer // the identity provider
	Keys     map[string]string // declared client → API key

	t   testing.TB
	log slog.Handler
}

// New makes it; all of it ends with the test.
func New(t testing.TB, o Options) *Deployment {
	t.Helper()
	d := &Deployment{Mesh: meshtest.New(t), Users: o.IdP, Keys: map[string]string{}, t: t, log: o.Log}
	if d.Users == nil {
		d.Users = d.IdP
	}
	if o.Profile == "" {
		o.Profile = "auther"
	}
	d.Front.Store(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(d.Front.Load())
		r.Out.Host = r.In.Host
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(front.Close)
	d.Issuer = front.URL

	backends, db := d.Backends(tokenexchange.Name, store.Sets()...)
	d.Database = db
	d.Config = tokenexchange.Config{
		Backends: backends, Issuer: d.Issuer, PolicyFile: d.File("policy.yaml", o.Policy), ClientsFile: d.declare(o.Clients),
		KeyHashKeyFile:       d.File("hash.key", api.GenerateSecretKey("h1")),
		KeyEncryptionKeyFile: d.File("encryption.key", api.GenerateSecretKey("e1")),
		KeyLabel:             "test", SigningAlgorithm: "ES256", Mode: tokenexchange.ModeIssuer,
		SigningRotateEvery: 720 * time.Hour, SigningRetainFor: 1440 * time.Hour, SigningPublishAhead: 24 * time.Hour,
		SigningEmergencyLead: 15 * time.Second, MaxStaleness: 15 * time.Second,
		Audit: tokenexchange.AuditBatched, AuditRetention: 8760 * time.Hour,
	}
	if o.Change != nil {
		o.Change(&d.Config)
	}
	d.Config.AuthnConfigFile = d.trust(o)
	return d
}

// Start runs one more replica until it is ready. With lead the issuer's address
// leads to it, from the moment on at which it listens.
func (d *Deployment) Start(lead bool, changes ...func(*tokenexchange.Config)) *meshtest.Service {
	d.t.Helper()
	return d.Mesh.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := d.Config
		cfg.Common = common
		for _, change := range changes {
			change(&cfg)
		}
		cfg.Ready = func(addr string) {
			if lead {
				d.Front.Store(&url.URL{Scheme: "http", Host: addr})
			}
			common.Ready(addr)
		}
		return tokenexchange.Run(ctx, cfg, slog.New(slog.NewMultiHandler(log.Handler(), d.log)))
	})
}

// Operator manages clients at the issuer's address, as a client of this name.
func (d *Deployment) Operator(client string) *api.Admin {
	d.t.Helper()
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: d.Issuer + "/oauth/token", ClientID: client, APIKeyFile: d.File(client+".key", d.Keys[client]+"\n"),
		Audience: tokenexchange.Name, Scopes: []string{api.AdminScope},
	})
	require.NoError(d.t, err)
	d.t.Cleanup(source.Close)
	admin, err := api.NewAdmin(d.Issuer, &http.Client{Transport: source.Transport(http.DefaultTransport)})
	require.NoError(d.t, err)
	return admin
}

// File writes a file that only its owner can read.
func (d *Deployment) File(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), name)
	require.NoError(d.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Verify holds a token to pkg/authn, as the services do.
func (d *Deployment) Verify(t *testing.T, token string, audiences ...string) *authn.Principal {
	t.Helper()
	cfg, err := authn.LoadConfig(d.Config.AuthnConfigFile)
	require.NoError(t, err)
	v := authntest.NewVerifier(t, cfg, authn.Options{Audiences: audiences, SkipRevocation: true})
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	return p
}

// trust is the file by which services know the issuers.
func (d *Deployment) trust(o Options) string {
	d.t.Helper()
	idp := d.Users.Config(o.Profile)
	users := map[string]any{"issuer": idp.Issuer, "profile": idp.Profile, "jwks_urls": idp.JWKSURLs, "algorithms": idp.Algorithms}
	if o.Types != nil {
		users["types"] = o.Types
	}
	own := d.Config.Issuer
	raw, err := yaml.Marshal(map[string]any{"issuers": []any{users, map[string]any{
		"issuer": own, "profile": "shadowless", "jwks_urls": []string{own + "/.well-known/jwks.json"}, "users_of": idp.Issuer,
		"algorithms": []string{"ES256", "EdDSA", "RS256"},
	}}, "entity_types": map[string]string{"order": "client_shop:order", "invoice": "client_shop:invoice"}})
	require.NoError(d.t, err)
	return d.File("authn.yaml", string(raw))
}

// declare makes the clients file, and each client's key.
func (d *Deployment) declare(clients []api.ClientSpec) string {
	d.t.Helper()
	var declared []any
	for _, spec := range clients {
		key, err := api.GenerateKey("test")
		require.NoError(d.t, err)
		d.Keys[spec.ID] = key.Reveal()
		declared = append(declared, struct {
			api.ClientSpec `yaml:",inline"`
			KeyFiles       []string `yaml:"key_files"`
		}{spec, []string{d.File(spec.ID+".key", key.Reveal()+"\n")}})
	}
	raw, err := yaml.Marshal(map[string]any{"clients": declared})
	require.NoError(d.t, err)
	return d.File("clients.yaml", string(raw))
}
