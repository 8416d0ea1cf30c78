package identityrelay_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// stored counts the messages of the stream of identity events.
func (r *room) stored() uint64 {
	r.t.Helper()
	stream, err := r.mesh.Broker.JetStream.Stream(r.t.Context(), streams.Identity)
	require.NoError(r.t, err)
	info, err := stream.Info(r.t.Context())
	require.NoError(r.t, err)
	return info.State.Msgs
}

// forgetQuickly makes the stream remember message IDs for as short as it can,
// as it does with events of last week.
func (r *room) forgetQuickly() {
	r.t.Helper()
	stream, err := r.mesh.Broker.JetStream.Stream(r.t.Context(), streams.Identity)
	require.NoError(r.t, err)
	cfg := stream.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	_, err = r.mesh.Broker.JetStream.UpdateStream(r.t.Context(), cfg)
	require.NoError(r.t, err)
}

func (r *room) published(n int) {
	r.t.Helper()
	r.eventually("everything is published", func() bool {
		return r.count(`SELECT count(*) FROM events WHERE stream_sequence IS NOT NULL`) == n && r.count(`SELECT count(*) FROM mailbox_outbox`) == 0
	})
}

// A stream that is lost is made anew from the rows, byte for byte and in order.
func TestReplay_RestoresALostStream(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	began := time.Now().Add(-time.Minute)
	r.deliver("user.created", map[string]any{"id": "u1"})
	r.deliver("grant.created", map[string]any{"subjectType": "user", "subjectId": "u1", "entityType": "client_shop:order", "entityId": "*", "relation": "customer"})
	r.deliver("session.deleted", map[string]any{"id": "s1", "userId": "u2"})
	var before []jetstream.Msg
	before = append(before, r.mesh.Messages(streams.Identity, "identity.v1.>", 3)...)
	r.published(3)
	require.NoError(t, r.mesh.Broker.JetStream.DeleteStream(t.Context(), streams.Identity))
	require.NoError(t, streams.Apply(t.Context(), r.mesh.Broker.JetStream, 1))

	var replayed int
	request := api.ReplayRequest{Since: &began, Limit: 2}
	for {
		batch, err := r.operator.Replay(t.Context(), request)
		require.NoError(t, err)
		replayed += batch.Replayed
		if batch.Next == 0 {
			break
		}
		request.After = batch.Next
	}
	require.Equal(t, 3, replayed)
	for i, m := range r.mesh.Messages(streams.Identity, "identity.v1.>", 3) {
		require.Equal(t, before[i].Subject(), m.Subject())
		require.Equal(t, before[i].Headers().Get(jetstream.MsgIDHeader), m.Headers().Get(jetstream.MsgIDHeader), "the inbox knows it")
		want, err := identity.Decode(before[i].Data())
		require.NoError(t, err)
		got, err := identity.Decode(m.Data())
		require.NoError(t, err)
		require.JSONEq(t, jsonOf(want.Data), jsonOf(got.Data))
		want.Data, got.Data = nil, nil
		require.Equal(t, want, got)
	}
	r.published(3)
}

func jsonOf(raw []byte) string {
	if len(raw) == 0 {
		return "null"
	}
	return string(raw)
}

func TestReplay_Chooses(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for _, id := range []string{"u1", "u2", "u3"} {
		r.deliver("user.created", map[string]any{"id": id})
	}
	r.deliver("session.deleted", map[string]any{"id": "s1", "userId": "u1"})
	r.published(4)
	soon, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	all := r.events("")
	for name, c := range map[string]struct {
		request api.ReplayRequest
		want    int
	}{
		"all":           {api.ReplayRequest{Since: &before}, 4},
		"none so young": {api.ReplayRequest{Since: &soon}, 0},
		"of one type":   {api.ReplayRequest{Since: &before, Type: identity.TypeSessionEnded}, 1},
		"after":         {api.ReplayRequest{After: 3}, 1},
		"one":           {api.ReplayRequest{ID: all[1].ID}, 1},
	} {
		batch, err := r.operator.Replay(t.Context(), c.request)
		require.NoError(t, err, name)
		require.Equal(t, api.Replay{Replayed: c.want}, batch, name)
	}
	page, err := r.operator.Events(t.Context(), api.EventFilter{Since: soon})
	require.NoError(t, err)
	require.Empty(t, page.Events)
	page, err = r.operator.Events(t.Context(), api.EventFilter{Since: before, Type: identity.TypeUserCreated, Limit: 2})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	require.Equal(t, int64(2), page.Next)
}

// The stream holds replayed events twice; both messages go when the user does.
func TestReplay_LeavesNothingThatAnErasureDoesNotFind(t *testing.T) {
	t.Parallel()
	const user = "auth0|user one"
	r, orders, billing := newRoomWith(t, nil)
	r.forgetQuickly()
	r.deliver("user.created", map[string]any{"id": user})
	r.deliver("user.created", map[string]any{"id": "somebody else"})
	r.published(2)
	require.Eventually(t, func() bool {
		_, err := r.operator.Replay(t.Context(), api.ReplayRequest{ID: r.events("")[0].ID})
		require.NoError(t, err)
		r.published(2)
		return r.stored() >= 4
	}, within, every, "the stream takes it again once it has forgotten the ID")
	found, err := footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, user)
	require.NoError(t, err)
	require.NotEmpty(t, found)

	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": user})
	r.erasureReaches("complete")
	found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, user)
	require.NoError(t, err)
	require.Empty(t, found, "no copy is left")
	require.Zero(t, r.count(`SELECT count(*) FROM event_copies`))

	before := time.Now().Add(-time.Hour)
	batch, err := r.operator.Replay(t.Context(), api.ReplayRequest{Since: &before})
	require.NoError(t, err)
	require.Equal(t, api.Replay{Replayed: 1, Erased: 3}, batch, "the erased user's events are not told again")
	r.published(4)
	found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, user)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = footprint.InDatabase(t.Context(), r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found)
}
