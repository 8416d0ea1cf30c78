package tokenexchange

import (
	"context"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/blocks"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/custody"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/issued"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/rehash"
	"github.com/shadowless/shadowless/services/token-exchange/internal/revocations"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
	"github.com/shadowless/shadowless/services/token-exchange/internal/transport"
	"github.com/shadowless/shadowless/services/token-exchange/internal/workload"
)

// protocol is what there is about tokens after they were issued.
type protocol struct {
	custody *custody.Service
	revoked *revocations.List
	issued  *issued.Tokens
}

func (s settings) newProtocol(m *mesh.Mesh, cfg Config, ring *signing.Ring, blocked *blocks.List, registry *store.Clients) *protocol {
	revoked := revocations.New(revocations.Options{
		Store: store.NewRevocations(m.Pool), Memory: m.Revocations, JetStream: m.JetStream, Logger: m.Logger,
	})
	m.Go("own revocations", revoked.Read)
	m.Go("revocation projector", revoked.Project)
	m.Health.Add("own-revocations", revoked.Ready)
	keys := custody.New(custody.Options{
		Ring: ring, Hashes: s.hashes, Encryption: s.encryption, Uses: store.NewSecretUse(m.Pool), Holders: registry, Now: time.Now,
	})
	m.Health.Add("secret-keys", keys.Ready)
	return &protocol{custody: keys, revoked: revoked, issued: issued.New(issued.Options{
		Issuer: cfg.Issuer, Self: Name, Verifier: m.Verifier, Blocks: blocked, Revoker: revoked, Now: time.Now,
		Fresh: func() error { return m.Revocations.Fresh(cfg.MaxStaleness) },
	})}
}

// trustOwnKeys makes the service follow its own key set without delay: a key that
// was ended in an emergency opens nothing here from that moment on.
func trustOwnKeys(c *authn.Config, issuer string) {
	none := time.Duration(0)
	for i := range c.Issuers {
		if c.Issuers[i].Issuer == issuer {
			c.Issuers[i].Keys = authn.KeysConfig{Refresh: time.Second, RemovedTrust: &none}
		}
	}
}

// keyFileInterval is how often the service's own key files are read again.
const keyFileInterval = 2 * time.Second

// proofs is every way in which a client can prove itself.
func (s settings) proofs(m *mesh.Mesh, cfg Config, registry *store.Clients) (*workload.Authenticator, error) {
	for _, ring := range []*keyring.Ring{s.hashes, s.encryption} {
		m.Go("key file", func(ctx context.Context) error { return ring.Watch(ctx, keyFileInterval, m.Logger) })
	}
	memory := clients.NewMemory(registry, time.Now, m.Logger)
	registry.OnChange(memory.Forget)
	m.Go("proven keys", memory.Watch)
	keys := clients.NewAuthenticator(registry, memory, s.hashes, time.Now)
	hashes := rehash.New(store.NewSecretUse(m.Pool), m.Logger)
	keys.OnOutdated(hashes.Outdated)
	m.Go("key hashes", hashes.Run)
	if len(s.policy.WorkloadIssuers) == 0 {
		return workload.New(nil, registry, keys), nil
	}
	verifier, err := workload.Trust(context.Background(), workload.TrustOptions{
		Issuers: s.policy.WorkloadIssuers, Audiences: []string{cfg.Issuer, transport.Endpoint(cfg.Issuer, transport.TokenPath)},
		Revocations: m.Revocations, HTTPClient: m.HTTPClient, Logger: m.Logger, Development: cfg.IsDevelopment(),
	})
	if err != nil {
		return nil, err
	}
	m.Go("workload issuers", func(ctx context.Context) error {
		<-ctx.Done()
		verifier.Close()
		return nil
	})
	return workload.New(verifier, registry, keys), nil
}

func (p *protocol) handle(mux *access.Mux, tokens *exchange.Service, keys transport.KeyRevoker) {
	mux.Handle("POST "+transport.IntrospectionPath, transport.Introspection(tokens, p.issued))
	mux.Handle("POST "+transport.RevocationPath, transport.Revocation(tokens, p.issued, keys))
	custody.Register(mux, p.custody)
}
