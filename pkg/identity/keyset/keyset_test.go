package keyset_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/keyset"
)

const bucket = "KEYSETS"

func setup(t *testing.T) *identitytest.Broker {
	t.Helper()
	broker := identitytest.NATS(t)
	_, err := broker.JetStream.CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: bucket})
	require.NoError(t, err)
	return broker
}

func TestStore_KeepsEachServicesAndIssuersKeysApart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	broker := setup(t)
	orders, billing := keyset.NewStore(broker.JetStream, bucket, "orders"), keyset.NewStore(broker.JetStream, bucket, "billing")
	at := time.Now().UTC().Truncate(time.Second)
	require.NoError(t, orders.Save(ctx, "https://idp.example", authn.StoredKeys{JWKS: []byte(`{"keys":[]}`), FetchedAt: at}))
	kept, err := orders.Load(ctx, "https://idp.example")
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[]}`, string(kept.JWKS))
	require.True(t, at.Equal(kept.FetchedAt))
	for name, load := range map[string]func() (authn.StoredKeys, error){
		"another service": func() (authn.StoredKeys, error) { return billing.Load(ctx, "https://idp.example") },
		"another issuer":  func() (authn.StoredKeys, error) { return orders.Load(ctx, "https://other.example") },
	} {
		_, err := load()
		require.ErrorIs(t, err, authn.ErrNoStoredKeys, name)
	}
}

// A new pod has no disk, and the identity provider is down: the bucket's keys
// let it serve.
func TestStore_LetsAVerifierStartWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	broker := setup(t)
	store := keyset.NewStore(broker.JetStream, bucket, "orders")
	issuer := authntest.NewIssuer(t)
	cfg := authn.Config{Issuers: []authn.IssuerConfig{issuer.Config("shadowless")}}
	options := authn.Options{Audiences: []string{"orders"}, SkipRevocation: true, KeyStore: store, Development: true}
	token := issuer.UserToken("u1", authntest.Audience("orders"))
	first := authntest.NewVerifier(t, cfg, options)
	_, err := first.Verify(ctx, token)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := store.Load(ctx, issuer.Name())
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	issuer.Down()
	second, err := authn.New(ctx, cfg, options)
	require.NoError(t, err)
	t.Cleanup(second.Close)
	require.Eventually(t, func() bool {
		_, err := second.Verify(ctx, token)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}
