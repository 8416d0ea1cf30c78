package faq

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// erase runs a participant over the database until it has answered one erasure,
// and returns the tombstones that its writers ask.
func erase(t *testing.T, db *identitytest.Database, manifest, userID string) (participant.Receipt, *participant.Tombstones) {
	t.Helper()
	broker := identitytest.NATS(t)
	events := broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{identity.SubjectPrefix + ">"}})
	receipts := broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{participant.ReceiptSubjectPrefix + ">"}})
	_, err := events.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "eight-erasures", FilterSubject: identity.Filter("erasure"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(t, err)
	parsed, err := participant.ParseManifest([]byte(manifest))
	require.NoError(t, err)
	p, err := participant.New(participant.Config{
		Name: "eight", Manifest: parsed, Pool: db.Pool, JetStream: broker.JetStream, Tombstones: tombstones(t),
	})
	require.NoError(t, err)
	background(t, p.Run)
	publish(t, broker.JetStream, identity.Event{
		Type: identity.TypeErasureRequested, Version: 1, UserID: userID, ErasureID: uuid.NewString(),
	})
	var receipt participant.Receipt
	require.Eventually(t, func() bool {
		m, err := receipts.GetLastMsgForSubject(t.Context(), participant.ReceiptSubjectPrefix+"eight")
		return err == nil && json.Unmarshal(m.Data, &receipt) == nil
	}, within, every)
	return receipt, p.Tombstones()
}

func tombstones(t *testing.T) *participant.Tombstones {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tombstone-keys")
	require.NoError(t, os.WriteFile(file, []byte(participant.NewTombstoneKey("k1")), 0o600))
	loaded, err := participant.LoadTombstones(file)
	require.NoError(t, err)
	return loaded
}

// background runs something until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

// publish puts an event into its stream.
func publish(t *testing.T, js jetstream.JetStream, e identity.Event) {
	t.Helper()
	e.ID, e.Source, e.Time = uuid.NewString(), "/relay", time.Now()
	raw, err := identity.Encode(e)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(t, err)
}
