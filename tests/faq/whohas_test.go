package faq

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/whohas"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

// whoHas runs the projection beside the system, from the events of now on.
func (w *world) whoHas(t *testing.T) *whohas.Projection {
	t.Helper()
	conn, js, err := natsconn.Connect(natsconn.Config{
		URL: "nats://" + w.Ports.Address(devstack.NATS), NKeySeedFile: w.SecretFile(streams.Operator + ".nkey"), Name: streams.Operator, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	durable := "whohas-" + uuid.NewString()
	_, err = js.CreateOrUpdateConsumer(t.Context(), streams.Identity, jetstream.ConsumerConfig{
		Durable: durable, FilterSubject: identity.Filter("access"), AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, js.DeleteConsumer(w.ctx(), streams.Identity, durable)) })
	projection := whohas.New(identitytest.Postgres(t, whohas.Sets...).Pool, tombstones(t))
	consumer, err := projection.Consumer(js, streams.Identity, durable, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	background(t, consumer.Run)
	return projection
}

// lists says whether the projection has these users and no others.
func lists(projection *whohas.Projection, entityType, entityID, relation string, want ...customer) func() bool {
	ids := make([]string, len(want))
	for i, c := range want {
		ids[i] = c.ID
	}
	return func() bool {
		got, err := projection.Users(context.Background(), entityType, entityID, relation, "", 10)
		return err == nil && slices.Equal(got, sorted(ids))
	}
}

// stated are the permissions on an entity that a user's next token states.
func (w *world) stated(c customer, entityType, entityID string) []string {
	w.t.Helper()
	var claims struct {
		Permissions map[string][]string `json:"permissions"`
	}
	decode(w.t, w.signIn(c.email, c.password).Token, &claims)
	return claims.Permissions[entityType+":"+entityID]
}
