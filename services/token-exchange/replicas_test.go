package tokenexchange_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const (
	overNATS    = time.Second
	withoutNATS = 15 * time.Second
)

// mirrored waits until the mesh knows of a revocation.
func (w *world) mirrored(t *testing.T, kind authn.RevocationKind, id string) {
	t.Helper()
	kv, err := w.Broker.JetStream.KeyValue(t.Context(), streams.Revocations)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := kv.Get(t.Context(), revocation.Key(kind, authn.NewRevocationKey(kind, id)))
		return err == nil
	}, meshtest.Within, meshtest.Every)
}

// inactiveAt measures how long a replica takes to refuse a token.
func (w *world) inactiveAt(t *testing.T, url, client, token string, within time.Duration) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool {
		a := w.postAt(t, url+"/oauth/introspect", w.As(client), pairs("token", token))
		return a.status == 200 && a.body["active"] == false
	}, within, meshtest.Every)
	t.Logf("after %s", time.Since(began).Round(time.Millisecond))
}

func (w *world) block(t *testing.T, admin *api.Admin, client string) {
	t.Helper()
	yes, reason := true, "leaked"
	_, err := admin.ChangeClient(t.Context(), client, api.ClientPatch{Blocked: &yes, BlockReason: &reason})
	require.NoError(t, err)
}

// TestReplicas_HearOfBlocksAndRevocations is point 4: within a second over
// NATS, and within fifteen without it. What one replica was told, the other
// refuses, and so does every service that mirrors the bucket.
func TestReplicas_HearOfBlocksAndRevocations(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.service.URL
	b := w.run().URL // the issuer's address leads to b now
	require.NotEqual(t, a, b)
	admin := w.admin(t)
	own := w.send(w.As("many"), credentials()).token(t)
	delegated := w.send(w.As("orders"), exchange(w.User("u1"))).token(t)
	further := w.send(w.As("billing"), exchange(delegated, "audience", "orders")).token(t)

	require.Equal(t, 200, w.postAt(t, b+"/oauth/revoke", w.As("many"), pairs("token", own)).status)
	w.inactiveAt(t, a, "many", own, overNATS)

	w.block(t, admin, "orders")
	require.Equal(t, 401, w.postAt(t, b+"/oauth/token", w.As("orders"), credentials()).status, "at once where it was said")
	require.Eventually(t, func() bool {
		return w.postAt(t, a+"/oauth/token", w.As("orders"), credentials()).status == 401
	}, overNATS, meshtest.Every)
	w.inactiveAt(t, a, "billing", delegated, overNATS)
	w.inactiveAt(t, a, "billing", further, overNATS) // orders is among its actors
	w.mirrored(t, authn.RevokedClient, "orders")
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	cfg, err := authn.LoadConfig(w.Config.AuthnConfigFile)
	require.NoError(t, err)
	w.follow(t, list)
	w.refuses(t, cfg, list, delegated, "billing")

	// A client that is let in again gets tokens that live.
	no := false
	_, err = admin.ChangeClient(t.Context(), "orders", api.ClientPatch{Blocked: &no})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		token := w.send(w.As("orders"), credentials()).token(t)
		return w.introspect(t, "orders", token).body["active"] == true
	}, meshtest.Within, 100*time.Millisecond)

	other := w.send(w.As("many"), credentials()).token(t)
	second := w.send(w.As("billing"), credentials("audience", "orders")).token(t)
	w.Broker.Stop()
	defer w.Broker.Start()
	require.Equal(t, 200, w.postAt(t, b+"/oauth/revoke", w.As("many"), pairs("token", other)).status)
	w.block(t, admin, "billing")
	w.inactiveAt(t, a, "many", other, withoutNATS)
	w.inactiveAt(t, a, "orders", second, withoutNATS)
	w.inactiveAt(t, b, "orders", second, withoutNATS)

	// An outage must not keep an operator from containing damage.
	require.Eventually(t, func() bool {
		_, err := admin.Clients(t.Context())
		var refused *api.Error
		return errors.As(err, &refused) && refused.Status == 503
	}, 2*withoutNATS, 200*time.Millisecond, "what can wait waits for NATS")
	w.block(t, admin, "many")
	require.NoError(t, admin.EndTokens(t.Context(), "orders"))
	require.Error(t, admin.EndTokens(t.Context(), "nobody"))
	w.send(w.As("many"), credentials()).refused(t, 401, "invalid_client")
	_, err = admin.RotateSigningKeys(t.Context(), api.Rotation{Emergency: true})
	require.NoError(t, err)
}

// TestProjection_SurvivesALostBucket: the rows are the truth.
func TestProjection_SurvivesALostBucket(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.send(w.As("many"), credentials()).token(t)
	require.Equal(t, 200, w.revoke(t, "many", token).status)
	id, ok := claimsOf(t, token)["jti"].(string)
	require.True(t, ok)
	w.mirrored(t, authn.RevokedToken, id)
	require.NoError(t, w.Broker.JetStream.DeleteKeyValue(t.Context(), streams.Revocations))
	require.NoError(t, streams.Apply(t.Context(), w.Broker.JetStream, 1))
	w.mirrored(t, authn.RevokedToken, id)
}

// follow mirrors the bucket as every service does.
func (w *world) follow(t *testing.T, list *authn.RevocationList) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	feed := revocation.NewFeed(w.Broker.JetStream, revocation.FeedConfig{Bucket: streams.Revocations, Instance: "a-service", Logger: slog.New(slog.DiscardHandler)})
	go func() { done <- feed.Run(ctx, list) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, list.Loaded, meshtest.Within, meshtest.Every)
}

// refuses shows that a service with this list does not take the token.
func (w *world) refuses(t *testing.T, cfg authn.Config, list *authn.RevocationList, token, audience string) {
	t.Helper()
	v := authntest.NewVerifier(t, cfg, authn.Options{Audiences: []string{audience}, Revocations: list})
	_, err := v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrRevoked)
}
