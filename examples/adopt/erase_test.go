package adopt_test

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

	"github.com/shadowless/shadowless/examples/adopt"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// participate makes the help desk a participant and returns what erases a user.
func (s *service) participate() (erase func(userID string) participant.Receipt) {
	s.t.Helper()
	ctx := s.t.Context()
	raw, err := os.ReadFile("manifest.yaml")
	require.NoError(s.t, err)
	manifest, err := participant.ParseManifest(raw)
	require.NoError(s.t, err)
	require.NoError(s.t, migrate.Up(ctx, s.url,
		migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"}))
	require.NoError(s.t, manifest.Validate(ctx, s.db))
	broker := identitytest.NATS(s.t)
	stream := broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{identity.SubjectPrefix + ">"}})
	receipts := broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{participant.ReceiptSubjectPrefix + ">"}})
	_, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "helpdesk-erasures", FilterSubject: identity.Filter("erasure"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(s.t, err)
	keyFile := filepath.Join(s.t.TempDir(), "tombstone-keys")
	require.NoError(s.t, os.WriteFile(keyFile, []byte(participant.NewTombstoneKey("k1")), 0o600))
	p, err := participant.New(participant.Config{Name: "helpdesk", Manifest: manifest, Pool: s.db, JetStream: broker.JetStream, TombstoneKeyFile: keyFile})
	require.NoError(s.t, err)
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	s.t.Cleanup(func() {
		stop()
		require.NoError(s.t, <-ended)
	})
	return func(userID string) participant.Receipt {
		s.t.Helper()
		e := identity.Event{
			ID: uuid.NewString(), Source: "/relay", Type: identity.TypeErasureRequested, Version: 7, Time: time.Now(),
			UserID: userID, ErasureID: uuid.NewString(),
		}
		raw, err := identity.Encode(e)
		require.NoError(s.t, err)
		_, err = broker.JetStream.Publish(ctx, identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
		require.NoError(s.t, err)
		var receipt participant.Receipt
		require.Eventually(s.t, func() bool {
			m, err := receipts.GetLastMsgForSubject(ctx, participant.ReceiptSubjectPrefix+"helpdesk")
			return err == nil && json.Unmarshal(m.Data, &receipt) == nil && receipt.ErasureID == e.ErasureID
		}, 30*time.Second, 10*time.Millisecond)
		return receipt
	}
}

// What ON DELETE did is in the manifest, and an erasure runs from it.
func TestManifest_ErasesWhatTheForeignKeysDid(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.upTo(5)
	erase := s.participate()
	for _, column := range erase("bob").Columns {
		require.Zero(t, column.Remaining, "%s.%s", column.Table, column.Column)
	}
	require.Zero(t, s.count(`SELECT count(*) FROM comments WHERE author_user_id = 'bob'`))
	require.Equal(t, 1, s.count(`SELECT count(*) FROM comments WHERE author_user_id = 'auth0|alice'`), "others keep theirs")
	require.Equal(t, 4, s.count(`SELECT count(*) FROM tickets`), "tickets stay, for everybody who was in them")
	require.Empty(t, s.titles(adopt.Federated{DB: s.db}, "bob"))
	require.Zero(t, s.count(`SELECT count(*) FROM tickets WHERE assignee_user_id = 'bob'`))
	require.Zero(t, s.count(`SELECT count(*) FROM information_schema.columns
		WHERE table_name IN ('tickets', 'comments', 'preferences') AND column_name IN ('email', 'name', 'author_id', 'assignee_id')`))
	require.Zero(t, s.count(`SELECT count(*) FROM information_schema.tables WHERE table_name = 'users'`))
}

// A dump holds who was erased after it was made.
func TestFallBack_ADumpBringsNoErasedUserBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.upTo(5)
	s.participate()("bob")
	s.must(s.block(back(5)))
	require.Zero(t, s.count(`SELECT count(*) FROM users WHERE idp_id = 'bob' OR email = 'bob@example.com'`))
	require.Equal(t, 1, s.count(`SELECT count(*) FROM users WHERE idp_id = 'auth0|alice'`))
}
