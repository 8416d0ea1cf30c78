package meshtest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Publish puts a message into its stream, as a service's outbox would.
func (m *Mesh) Publish(messages ...mailbox.Message) {
	m.t.Helper()
	for _, msg := range messages {
		_, err := m.Broker.JetStream.PublishMsg(m.t.Context(), &nats.Msg{Subject: msg.Subject, Data: msg.Payload, Header: nats.Header{
			jetstream.MsgIDHeader: {msg.ID},
		}})
		require.NoError(m.t, err)
	}
}

// Redeliver publishes a message again, past JetStream's own window: only the
// receiver's inbox can tell.
func (m *Mesh) Redeliver(msg mailbox.Message) {
	m.t.Helper()
	stream, err := m.Broker.JetStream.StreamNameBySubject(m.t.Context(), msg.Subject)
	require.NoError(m.t, err)
	s, err := m.Broker.JetStream.Stream(m.t.Context(), stream)
	require.NoError(m.t, err)
	cfg := s.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	_, err = m.Broker.JetStream.UpdateStream(m.t.Context(), cfg)
	require.NoError(m.t, err)
	before := s.CachedInfo().State.LastSeq
	require.Eventually(m.t, func() bool {
		ack, err := m.Broker.JetStream.PublishMsg(m.t.Context(), &nats.Msg{Subject: msg.Subject, Data: msg.Payload, Header: nats.Header{
			jetstream.MsgIDHeader: {msg.ID},
		}})
		return err == nil && !ack.Duplicate && ack.Sequence > before
	}, Within, Every)
}

// Messages waits for n messages on the subject and returns them.
func (m *Mesh) Messages(stream, subject string, n int) []jetstream.Msg {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), Within)
	defer cancel()
	consumer, err := m.Broker.JetStream.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	require.NoError(m.t, err)
	var found []jetstream.Msg
	for len(found) < n {
		batch, err := consumer.Fetch(n-len(found), jetstream.FetchMaxWait(time.Second))
		require.NoError(m.t, err)
		for msg := range batch.Messages() {
			found = append(found, msg)
		}
		require.NoError(m.t, ctx.Err(), "%d of %d messages on %s", len(found), n, subject)
	}
	return found
}

// Acknowledged waits until a durable has nothing pending.
func (m *Mesh) Acknowledged(stream, durable string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		c, err := m.Broker.JetStream.Consumer(m.t.Context(), stream, durable)
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	}, Within, Every, "%s is not done", durable)
}

// Erase asks every participant to erase the user and waits for one's receipt.
func (m *Mesh) Erase(userID, participantName string) participant.Receipt {
	m.t.Helper()
	e := identity.Event{
		ID: uuid.NewString(), Source: "identity-relay", Type: identity.TypeErasureRequested, Version: 1,
		Time: time.Now().UTC(), UserID: userID, ErasureID: uuid.NewString(),
	}
	raw, err := identity.Encode(e)
	require.NoError(m.t, err)
	m.Publish(mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw})
	for n := 1; ; n++ {
		messages := m.Messages("RECEIPTS", participant.ReceiptSubjectPrefix+participantName, n)
		var receipt participant.Receipt
		require.NoError(m.t, json.Unmarshal(messages[n-1].Data(), &receipt))
		if receipt.ErasureID == e.ErasureID {
			return receipt
		}
	}
}
