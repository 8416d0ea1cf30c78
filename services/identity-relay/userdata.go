package identityrelay

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/exports"
	"github.com/shadowless/shadowless/services/identity-relay/internal/orphans"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
	"github.com/shadowless/shadowless/services/identity-relay/internal/rekeyings"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// userDataRoutes are what a users table would have made easy: who is in it that
// nobody knows, what is there about somebody, and another ID for them.
func userDataRoutes() []access.Route {
	operator := []access.Rule{access.Client(operatorClient, api.Scope)}
	return []access.Route{
		{Pattern: "POST /v1/orphan-audits", Allow: operator, Doc: "look for user IDs that the identity provider does not know; changes nothing about anybody"},
		{Pattern: "POST /v1/orphan-audits/{id}/resume", Allow: operator, Doc: "let an audit go on that stopped"},
		{Pattern: "GET /v1/orphan-audits/{id}", Allow: operator, Doc: "an audit's progress, and counts per service and column"},
		{Pattern: "GET /v1/orphan-audits/{id}/orphans", Allow: operator, Doc: "an audit's findings: keyed hashes, and IDs where they are asked for"},
		{Pattern: "POST /v1/exports", Allow: operator, Doc: "record that a user's data is exported"},
		{Pattern: "GET /v1/exports", Allow: operator, Doc: "who exported whose data, by keyed hash, and what each participant delivered"},
		{Pattern: "POST /v1/exports/{id}/pages", Allow: operator, Doc: "a page of what one participant holds of the user"},
		{Pattern: "POST /v1/rekeyings", Allow: operator, Doc: "give a user another ID everywhere, or tell what that would do"},
		{Pattern: "GET /v1/rekeyings", Allow: operator, Doc: "rekeyings, newest first; open ones alone"},
		{Pattern: "GET /v1/rekeyings/{id}", Allow: operator, Doc: "one rekeying with its receipts"},
	}
}

// userData is what serves them.
type userData struct {
	orphans   *orphans.Auditor
	exports   *exports.Service
	rekeyings *rekeyings.Service
}

// newUserData wires it. stop ends the tokens for the participants.
func newUserData(
	cfg Config, m *mesh.Mesh, participants []remote, list userlist.Namespaced, tombstones *participant.Tombstones,
	recorder *relay.Recorder, manifestSum string,
) (d *userData, stop func(), err error) {
	manifest, err := Manifest()
	if err != nil {
		return nil, nil, err
	}
	all, stop, err := openPeers(cfg, m, participants)
	if err != nil {
		return nil, nil, err
	}
	all = append([]peers.Peer{peers.Self{Manifest: manifest, Pool: m.Pool, Tombstones: tombstones}}, all...)
	return &userData{
		orphans: orphans.New(orphans.Auditor{
			Pool: m.Pool, Peers: all, Users: list, Namespace: list.Namespace, Tombstones: tombstones, Now: time.Now, Log: m.Logger,
		}),
		exports: &exports.Service{Pool: m.Pool, Peers: all, Tombstones: tombstones, Now: time.Now, Log: m.Logger},
		rekeyings: rekeyings.New(rekeyings.Service{
			Pool: m.Pool, JetStream: m.JetStream, Stream: streams.Identity, Peers: all, Users: list, Manifest: manifest, Tombstones: tombstones,
			ManifestSum: manifestSum, Deadline: cfg.ErasureDeadline, Transact: recorder.Transact, Now: time.Now, Log: m.Logger,
		}),
	}, stop, nil
}

// openPeers makes a token source per participant and scope; each fetches its
// token when it is first used.
func openPeers(cfg Config, m *mesh.Mesh, participants []remote) (all []peers.Peer, stop func(), err error) {
	var sources []*authn.TokenSource
	stop = func() {
		for _, s := range sources {
			s.Close()
		}
	}
	for _, p := range participants {
		peer, err := peers.NewRemote(p.Name, p.BaseURL, func(scope string) (*http.Client, error) {
			source, err := authn.NewTokenSource(authn.TokenSourceConfig{
				TokenURL: strings.TrimSuffix(cfg.TokenExchangeURL, "/") + "/oauth/token", ClientID: name, APIKeyFile: cfg.APIKeyFile,
				Audience: p.Name, Scopes: []string{scope}, HTTPClient: m.HTTPClient, Logger: m.Logger,
			})
			if err != nil {
				return nil, fmt.Errorf("token for %s: %w", p.Name, err)
			}
			sources = append(sources, source)
			client := *m.HTTPClient
			client.Transport = source.Transport(m.HTTPClient.Transport)
			return &client, nil
		})
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, peer)
	}
	return all, stop, nil
}

// serve adds the background work and the routes.
func (d *userData) serve(m *mesh.Mesh, mux *access.Mux) {
	m.Go("audits of orphans", d.orphans.Run)
	m.Go("rekeyings", d.rekeyings.Run)
	d.orphans.Register(mux)
	d.exports.Register(mux)
	d.rekeyings.Register(mux)
}

// takeReceipt stores a participant's answer, whatever it was asked.
func takeReceipt(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
	if rekeyings.IsReceipt(m) {
		return rekeyings.TakeReceipt(ctx, tx, m)
	}
	return erasures.TakeReceipt(ctx, tx, m)
}
