package identityrelay

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/operator"
	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
	"github.com/shadowless/shadowless/services/identity-relay/internal/upkeep"
)

//go:embed manifest.yaml
var manifestYAML []byte

// Manifest is the relay's disposition manifest.
func Manifest() (*participant.Manifest, error) { return participant.ParseManifest(manifestYAML) }

const (
	// reconciliationRetention is how long results of passes can be looked up.
	reconciliationRetention = 90 * 24 * time.Hour
	// registryTimeout bounds the start: the registry must be known before an
	// erasure asks who must answer.
	registryTimeout = 30 * time.Second
	// connections to Postgres that requests and background work share: erasures are
	// finished four at a time, and a reconciliation and an audit keep one each for as
	// long as they take. tests/bench-identity measures with as many.
	connections = 16
)

// Run serves until ctx ends, then drains.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	m, err := mesh.Open(ctx, mesh.Options{
		Name: name, Common: cfg.Common, Backends: cfg.Backends, Audiences: []string{api.Audience},
		Migrations: schema.Sets(), Logger: log, Connections: connections,
	})
	if err != nil {
		return err
	}
	handler, stop, err := assemble(ctx, cfg, m)
	if err != nil {
		return err
	}
	defer stop()
	return m.Serve(ctx, handler)
}

// assemble wires the rooms and adds their background work to the mesh.
func assemble(ctx context.Context, cfg Config, m *mesh.Mesh) (http.Handler, func(), error) {
	participants, err := parseParticipants(cfg.Participants)
	if err != nil {
		return nil, nil, err
	}
	if err := register(ctx, m, participants); err != nil {
		return nil, nil, err
	}
	tombstones, err := participant.LoadTombstones(cfg.TombstoneKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("TOMBSTONE_KEY_FILE: %w", err)
	}
	issuers, err := authn.LoadConfig(cfg.AuthnConfigFile)
	if err != nil {
		return nil, nil, fmt.Errorf("AUTHN_CONFIG_FILE: %w", err)
	}
	list, err := users(cfg, m.HTTPClient, issuers)
	if err != nil {
		return nil, nil, err
	}
	settings := erasures.Settings{
		Grace: cfg.ErasureGrace, Deadline: cfg.ErasureDeadline, PerHour: cfg.ErasuresPerHour,
		Stream: streams.Identity, StreamMaxAge: streams.IdentityMaxAge, Tombstones: tombstones, Now: time.Now,
	}
	publisher := mailbox.NewPublisher(m.Pool, m.JetStream, mailbox.PublisherOptions{
		OnPublished: eventlog.Places{JetStream: m.JetStream, Stream: streams.Identity}.Published, Logger: m.Logger,
	})
	projector := revocations.NewProjector(m.Pool, m.JetStream, streams.Revocations, m.Logger)
	sum := sha256.Sum256(manifestYAML)
	worker := erasures.NewWorker(erasures.Worker{
		Pool: m.Pool, JetStream: m.JetStream, Settings: settings, ManifestSum: hex.EncodeToString(sum[:]),
		Lookup: known(list), Log: m.Logger,
		OnAppend: func() {
			publisher.Wake()
			projector.Wake()
		},
	})
	stopObserving, err := worker.Observe(otel.Meter(name))
	if err != nil {
		return nil, nil, err
	}
	var data *userData
	receipts, err := mailbox.NewConsumer(m.JetStream, m.Pool, mailbox.ConsumerConfig{
		Stream: streams.Receipts, Durable: streams.Durable(name, "receipts"), Handler: takeReceipt,
		Logger: m.Logger,
		OnCommit: func() {
			worker.Wake()
			data.rekeyings.Wake()
		},
	})
	if err != nil {
		return nil, nil, err
	}
	recorder := &relay.Recorder{Pool: m.Pool, Tombstones: tombstones, Erasures: settings, Now: time.Now, KeepTokens: !cfg.WithdrawalEndsTokens}
	rereader := relay.NewRereader(relay.Rereader{Pool: m.Pool, Recorder: recorder, Lookup: lookup(list), Log: m.Logger})
	refused := &source.Refusals{Pool: m.Pool, Log: m.Logger}
	recorder.Wake = func() {
		publisher.Wake()
		projector.Wake()
		worker.Wake()
		rereader.Wake()
	}
	holders, stopTokens, err := holders(cfg, m, participants)
	if err != nil {
		return nil, nil, err
	}
	var stopData func()
	data, stopData, err = newUserData(cfg, m, participants, list, tombstones, recorder, hex.EncodeToString(sum[:]))
	if err != nil {
		stopTokens()
		return nil, nil, err
	}
	reconciler := reconcile.New(reconcile.Reconciler{
		Pool: m.Pool, Users: list, Holders: holders, Recorder: recorder, Tombstones: tombstones, Now: time.Now, Log: m.Logger,
		Settings: reconcile.Settings{
			Interval: cfg.ReconcileInterval, Grace: cfg.ReconcileGrace,
			ShrinkFraction: cfg.ReconcileShrinkFraction, ShrinkFloor: cfg.ReconcileShrinkFloor, Namespace: list.Namespace,
		},
	})
	m.Go("outbox", publisher.Run)
	m.Go("revocations' projection", projector.Run)
	m.Go("erasures", worker.Run)
	m.Go("look-ups at the end of grace", worker.Check)
	m.Go("receipts", receipts.Run)
	m.Go("look-ups", rereader.Run)
	m.Go("reconciliation", reconciler.Run)
	m.Go("counts of refusals", refused.Run)
	m.Go("upkeep", upkeep.Upkeep{
		Pool: m.Pool, Deliveries: cfg.DeliveryRetention, Events: cfg.EventRetention, Reconciliations: reconciliationRetention, Log: m.Logger,
	}.Run)

	mux := access.NewMux(Access, m.Verifier)
	stopSources, err := handleSources(ctx, mux, cfg, m, issuers, list.Namespace, recorder, refused)
	if err != nil {
		stopData()
		stopTokens()
		return nil, nil, err
	}
	stop := func() {
		stopSources()
		stopData()
		stopTokens()
		_ = stopObserving() // nothing is observed any more
	}
	(&operator.Service{
		Pool: m.Pool, Recorder: recorder, Projector: projector, Reconciler: reconciler, Refusals: refused, Erasures: settings, Now: time.Now,
	}).Register(mux)
	data.serve(m, mux)
	handler, err := mux.Handler()
	if err != nil {
		stop()
		return nil, nil, err
	}
	return handler, stop, nil
}

func register(ctx context.Context, m *mesh.Mesh, participants []remote) error {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	registry := make([]erasures.Participant, len(participants))
	for i, p := range participants {
		registry[i] = p.Participant
	}
	return erasures.Register(ctx, m.Pool, registry)
}

// holders are whom reconciliation asks for user IDs: the participants, each with
// a token for it alone, and the relay's own rows.
func holders(cfg Config, m *mesh.Mesh, participants []remote) (list []reconcile.Holder, stop func(), err error) {
	var sources []*authn.TokenSource
	stop = func() {
		for _, s := range sources {
			s.Close()
		}
	}
	list = []reconcile.Holder{reconcile.Own{Pool: m.Pool}}
	for _, p := range participants {
		source, err := authn.NewTokenSource(authn.TokenSourceConfig{
			TokenURL: strings.TrimSuffix(cfg.TokenExchangeURL, "/") + "/oauth/token", ClientID: name, APIKeyFile: cfg.APIKeyFile,
			Audience: p.Name, Scopes: []string{userids.Scope}, HTTPClient: m.HTTPClient, Logger: m.Logger,
		})
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("token for %s: %w", p.Name, err)
		}
		sources = append(sources, source)
		client := *m.HTTPClient
		client.Transport = source.Transport(m.HTTPClient.Transport)
		list = append(list, &reconcile.Remote{Participant: p.Name, BaseURL: p.BaseURL, HTTPClient: &client})
	}
	return list, stop, nil
}
