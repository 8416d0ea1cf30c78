package identityrelay_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source/secevent"
)

// What the relay really publishes is what the schemas in docs/events promise.
func TestEvents_AreAsTheirSchemasSay(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureGrace = 0 })
	orders.run()
	billing.run()
	r.idp.Add("u2", true)
	r.deliver("user.created", map[string]any{"id": "auth0|u 1"})
	r.deliver("session.deleted", map[string]any{"id": "s1"})
	r.deliver("grant.created", map[string]any{"subjectType": "user", "subjectId": "u2", "entityType": "client_shop:order", "relation": "customer"})
	r.deliver("group.member.removed", map[string]any{"groupId": "g1", "userId": "u2"})
	r.deliver("user.updated", map[string]any{"id": "u2", "banned": false})
	r.eventually("the ban", func() bool { return len(r.events(identity.TypeUserBanned)) == 1 })
	r.idp.Add("u2", false)
	r.deliver("user.updated", map[string]any{"id": "u2", "banned": true})
	r.eventually("its end", func() bool { return len(r.events(identity.TypeUserUnbanned)) == 1 })
	seen := map[string]bool{}
	r.validate(r.mesh.Messages(streams.Identity, "identity.v1.>", len(r.events(""))), seen)

	// The messages of an erased user are gone soon after.
	messages := make(chan jetstream.Msg, 10)
	consumer, err := r.mesh.Broker.JetStream.OrderedConsumer(t.Context(), streams.Identity, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{identity.Filter("user.deleted"), identity.Filter("erasure.requested")},
	})
	require.NoError(t, err)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { messages <- m })
	require.NoError(t, err)
	t.Cleanup(consuming.Stop)
	orders.stop()
	r.deliver("user.deleted", map[string]any{"id": "auth0|u 1"})
	for range 2 {
		select {
		case m := <-messages:
			r.validate([]jetstream.Msg{m}, seen)
		case <-time.After(within):
			t.Fatal("no message")
		}
	}
	require.Equal(t, map[string]bool{
		identity.TypeUserCreated: true, identity.TypeSessionEnded: true, identity.TypeAccessChanged: true, identity.TypeUserUpdated: true,
		identity.TypeUserBanned: true, identity.TypeUserUnbanned: true, identity.TypeUserDeleted: true, identity.TypeErasureRequested: true,
	}, seen)
}

func TestEvents_OfSignOutsAreAsTheirSchemaSays(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	r.accept(event(r.mesh.IdP, "u1", secevent.SessionRevoked))
	seen := map[string]bool{}
	r.validate(r.mesh.Messages(streams.Identity, "identity.v1.>", 1), seen)
	require.True(t, seen[identity.TypeUserSignedOut])
}

// validate holds messages to the schemas of their types.
func (r *room) validate(messages []jetstream.Msg, seen map[string]bool) {
	r.t.Helper()
	for _, m := range messages {
		e, err := identity.Decode(m.Data())
		require.NoError(r.t, err)
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		schema, err := compiler.Compile(filepath.Join("..", "..", "docs", "events", e.Type+".v1.schema.json"))
		require.NoError(r.t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data()))
		require.NoError(r.t, err)
		require.NoError(r.t, schema.Validate(value), e.Type)
		seen[e.Type] = true
	}
}

// A consumer of version 1 outlives events of version 2: types that it never
// heard of, attributes and members that were added.
func TestEvents_AConsumerOfVersion1SurvivesVersion2(t *testing.T) {
	t.Parallel()
	r, orders, _ := newRoomWith(t, nil)
	orders.holds("u1", "u2")
	orders.run()
	publish := func(id, subject, payload string) {
		r.mesh.Publish(mailbox.Message{ID: id, Subject: subject, Payload: []byte(payload)})
	}
	publish("e1", "identity.v1.erasure.postponed.00", `{"specversion":"1.0","id":"e1","source":"/identity-relay","type":"erasure.postponed",
		"time":"2026-01-02T03:04:05Z","dataschema":"https://example.com/v2","data":{"user_id":"u2","version":1,"until":{"day":[1,null]}}}`)
	publish("e2", "identity.v1.erasure.requested.00", `{"specversion":"1.0","id":"e2","source":"/identity-relay","type":"erasure.requested",
		"time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","dataschema":"https://example.com/v2","traceparent":"x",
		"data":{"user_id":"u1","version":2,"erasure_id":"0198c0de-0000-7000-8000-000000000001","scope":{"kinds":["all"]}}}`)
	r.eventually("the second one is applied", func() bool { return orders.notes("u1") == 0 })
	r.mesh.Acknowledged(streams.Identity, streams.Durable("orders", "erasures"))
	require.Equal(t, 1, orders.notes("u2"), "what it does not know, it does not do")
	dead, err := r.mesh.Broker.JetStream.Stream(t.Context(), streams.DeadLetters)
	require.NoError(t, err)
	info, err := dead.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	for subject := range info.State.Subjects {
		require.NotContains(t, subject, "orders-erasures")
	}
}
