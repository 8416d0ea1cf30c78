// Package tokenexchange is the mesh's Security Token Service: the one place
// where a long-lived secret becomes a short-lived token. It proves clients by
// their API keys, delegates users' tokens to them, and turns a sign-in at the
// identity provider into a token that the services understand.
package tokenexchange

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/internal/admin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/admission"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/blocks"
	"github.com/shadowless/shadowless/services/token-exchange/internal/broker"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/holder"
	"github.com/shadowless/shadowless/services/token-exchange/internal/identityevents"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyage"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
	"github.com/shadowless/shadowless/services/token-exchange/internal/transport"
)

// Name of the service: its audience, NATS user and participant.
const Name = "token-exchange"

// Prefix of its own environment variables.
const Prefix = "TOKEN_EXCHANGE_"

// Run serves token-exchange until ctx ends, then lets requests and consumers finish.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	s, err := load(cfg)
	if err != nil {
		return err
	}
	outgoing, err := httpclient.New(cfg.CAFile)
	if err != nil {
		return err
	}
	// The service trusts its own tokens. It takes its own keys from memory: over
	// the network it would wait for itself to be ready.
	own := transport.NewOwnKeys(cfg.Issuer, outgoing.Transport)
	client := *outgoing
	client.Transport = own
	m, err := mesh.Open(ctx, mesh.Options{
		Name: Name, Common: cfg.Common, Backends: cfg.Backends, Migrations: store.Sets(), Logger: log, HTTPClient: &client,
		Trust: func(c *authn.Config) { trustOwnKeys(c, cfg.Issuer) },
	})
	if err != nil {
		return fmt.Errorf("open the mesh: %w", err)
	}
	ring := signing.NewRing(store.NewSigningKeys(m.Pool), s.encryption, cfg.schedule(), time.Now, log)
	own.Use(ring)
	handler, err := s.wire(m, cfg, ring)
	if err != nil {
		return err
	}
	return m.Serve(ctx, s.proxies.Middleware(handler))
}

// settings are what the files say.
type settings struct {
	policy     policy.Policy
	clients    clients.File
	hashes     *keyring.Ring
	encryption *keyring.Ring
	proxies    origin.Proxies
}

func load(cfg Config) (s settings, err error) {
	if s.policy, err = policy.Load(cfg.PolicyFile); err != nil {
		return s, err
	}
	if cfg.ClientsFile != "" {
		if s.clients, err = clients.LoadFile(cfg.ClientsFile); err != nil {
			return s, err
		}
		if err := s.clients.Check(s.policy); err != nil {
			return s, fmt.Errorf("%s: %w", cfg.ClientsFile, err)
		}
	}
	if s.proxies, err = origin.ParseProxies(cfg.TrustedProxies); err != nil {
		return s, err
	}
	if s.hashes, err = keyring.Load(cfg.KeyHashKeyFile); err != nil {
		return s, err
	}
	s.encryption, err = keyring.Load(cfg.KeyEncryptionKeyFile)
	return s, err
}

func (s settings) wire(m *mesh.Mesh, cfg Config, ring *signing.Ring) (http.Handler, error) {
	erasures, publisher, err := answerErasures(m, cfg)
	if err != nil {
		return nil, err
	}
	registry := store.NewClients(m.Pool)
	grants := store.NewGrants(m.Pool, erasures.Tombstones())
	blocked := blocks.NewList(store.NewBlocks(m.Pool), s.hashes)
	attempts := store.NewAudit(m.Pool, registry, erasures.Tombstones())
	records := audit.New(audit.Options{Store: attempts, Logger: m.Logger, Strict: cfg.Audit == AuditStrict})
	retention := audit.Retention{Store: attempts, Keep: cfg.AuditRetention, Logger: m.Logger, Now: time.Now}
	events, err := mailbox.NewConsumer(m.JetStream, m.Pool, mailbox.ConsumerConfig{
		Stream: streams.Identity, Durable: streams.Durable(Name, "identity"),
		Handler: identityevents.Handler(blocked, grants), Logger: m.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("consume identity events: %w", err)
	}
	declared := newDeclaration(registry, s.hashes, s.clients, m.Logger)
	m.Go("signing keys", ring.Run)
	m.Go("clients file", declared.Run)
	m.Go("audit", records.Run)
	m.Go("audit retention", retention.Run)
	m.Go("key age", keyage.Watch{Store: registry, Policy: s.policy, Meter: otel.Meter(Name), Logger: m.Logger, Now: time.Now}.Run)
	m.Go("outbox", publisher.Run)
	m.Go("erasures", erasures.Run)
	m.Go("identity events", events.Run)
	m.Health.Add("signing-keys", func(context.Context) error { return ring.Ready() })
	m.Health.Add("clients-file", declared.Ready)

	var userinfo exchange.Userinfo
	if cfg.UserinfoURL != "" {
		userinfo = exchange.NewHTTPUserinfo(cfg.UserinfoURL, m.HTTPClient)
	}
	after := s.newProtocol(m, cfg, ring, blocked, registry)
	proofs, err := s.proofs(m, cfg, registry)
	if err != nil {
		return nil, err
	}
	guard := admission.New(proofs, s.policy, time.Now)
	custody := s.upstream(m, cfg)
	options := exchange.Options{
		Issuer: cfg.Issuer, Policy: s.policy, Signer: ring, Recorder: records, Now: time.Now,
		Authenticator: guard,
		Grants: []exchange.Grant{exchange.ClientCredentials{}, exchange.NewTokenExchange(exchange.TokenExchangeOptions{
			Issuer: cfg.Issuer, Verifier: m.Verifier, Blocks: blocked, Userinfo: userinfo,
			Fresh:               func() error { return m.Revocations.Fresh(cfg.MaxStaleness) },
			Permissions:         permissions.NewConfigured(s.policy.Users, grants),
			ScopeAuthorities:    s.policy.ScopeAuthorities,
			UntypedAccessTokens: s.policy.UntypedAccessTokens,
		})},
	}
	if custody.Broker != nil {
		// Nobody upstream mints a token about a user for a client of ours.
		options.Upstream, options.Grants = custody.Broker, options.Grants[:1]
	}
	tokens := exchange.New(options)
	return route(m, cfg.Issuer, tokens, ring, doors{
		protocol: after, assertions: s.policy.WorkloadAlgorithms(),
		admin:  admin.New(admin.Options{Store: registry, Hashes: s.hashes, Policy: s.policy, Environment: cfg.KeyLabel, Now: time.Now}),
		holder: holder.New(holder.Options{Guard: guard, Store: registry, Recorder: records, Now: time.Now}),
		audit:  attempts,
		broker: custody,
	}, erasures)
}

// doors are the routes beside the token's.
type doors struct {
	protocol   *protocol
	assertions []string // algorithms
	admin      *admin.Service
	holder     *holder.Service
	audit      audit.Reader
	broker     broker.Custody
}

func route(m *mesh.Mesh, issuer string, tokens *exchange.Service, ring *signing.Ring, beside doors, erasures *participant.Participant) (http.Handler, error) {
	metadata, err := transport.Metadata(issuer, tokens.GrantTypes(), beside.assertions)
	if err != nil {
		return nil, err
	}
	mux := access.NewMux(Access(), m.Verifier)
	mux.Handle("POST "+transport.TokenPath, transport.Token(tokens))
	mux.Handle("POST "+transport.APIKeyPath, transport.APIKey(tokens))
	mux.Handle("GET "+transport.JWKSPath, transport.JWKS(ring))
	mux.Handle("GET "+transport.MetadataPath, metadata)
	beside.protocol.handle(mux, tokens, beside.holder)
	admin.Register(mux, beside.admin)
	holder.Register(mux, beside.holder)
	audit.Register(mux, beside.audit)
	broker.Register(mux, beside.broker)
	userids.Handle(mux, erasures)
	holdings.Handle(mux, erasures)
	handler, err := mux.Handler()
	if err != nil {
		return nil, err
	}
	return transport.Front(issuer, handler)
}

func answerErasures(m *mesh.Mesh, cfg Config) (*participant.Participant, *mailbox.Publisher, error) {
	dispositions, err := Manifest()
	if err != nil {
		return nil, nil, err
	}
	publisher := mailbox.NewPublisher(m.Pool, m.JetStream, mailbox.PublisherOptions{Logger: m.Logger})
	p, err := participant.New(participant.Config{
		Name: Name, Manifest: dispositions, Pool: m.Pool, JetStream: m.JetStream,
		TombstoneKeyFile: cfg.TombstoneKeyFile, Publisher: publisher, Logger: m.Logger,
	})
	return p, publisher, err
}
