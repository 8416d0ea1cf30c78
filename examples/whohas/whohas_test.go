package whohas_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/whohas"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

// setup runs the projection and its participant over a database of its own.
func setup(t *testing.T) (*whohas.Projection, *identitytest.Database, func(e identity.Event, c *identity.AccessChange)) {
	t.Helper()
	db, broker := identitytest.Postgres(t, whohas.Sets...), identitytest.NATS(t)
	stream := broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{identity.SubjectPrefix + ">"}})
	broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{participant.ReceiptSubjectPrefix + ">"}})
	for durable, kind := range map[string]string{"whohas-access": "access", "whohas-erasures": "erasure"} {
		_, err := stream.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
			Durable: durable, FilterSubject: identity.Filter(kind), AckPolicy: jetstream.AckExplicitPolicy,
		})
		require.NoError(t, err)
	}
	keys := filepath.Join(t.TempDir(), "tombstone-keys")
	require.NoError(t, os.WriteFile(keys, []byte(participant.NewTombstoneKey("k1")), 0o600))
	manifest, err := whohas.Manifest()
	require.NoError(t, err)
	erasures, err := participant.New(participant.Config{Name: "whohas", Manifest: manifest, Pool: db.Pool, JetStream: broker.JetStream, TombstoneKeyFile: keys})
	require.NoError(t, err)
	projection := whohas.New(db.Pool, erasures.Tombstones())
	consumer, err := projection.Consumer(broker.JetStream, participant.DefaultStream, "whohas-access", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, run := range []func(context.Context) error{consumer.Run, erasures.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	return projection, db, func(e identity.Event, c *identity.AccessChange) {
		t.Helper()
		e.ID, e.Source, e.Time = uuid.NewString(), "/relay", time.Now()
		if c != nil {
			e.Type = identity.TypeAccessChanged
			e.Data, err = json.Marshal(c)
			require.NoError(t, err)
		}
		raw, err := identity.Encode(e)
		require.NoError(t, err)
		_, err = broker.JetStream.Publish(t.Context(), identity.Subject(e), raw)
		require.NoError(t, err)
	}
}

func TestProjection_TheLaterVersionWinsInWhateverOrder(t *testing.T) {
	t.Parallel()
	projection, _, tell := setup(t)
	admin := func(change string) *identity.AccessChange {
		return &identity.AccessChange{EntityType: "org", EntityID: "x", Relation: "admin", Change: change}
	}
	tell(identity.Event{UserID: "ann", Version: 2}, admin("revoked"))
	tell(identity.Event{UserID: "ann", Version: 1}, admin("granted")) // late
	tell(identity.Event{UserID: "ben", Version: 3}, admin("granted"))
	tell(identity.Event{UserID: "ben", Version: 4}, admin("of_a_later_version"))
	tell(identity.Event{UserID: "cat", Version: 5}, admin("condition_updated"))
	tell(identity.Event{UserID: "last", Version: 6}, admin("granted"))
	require.Eventually(t, func() bool {
		users, err := projection.Users(t.Context(), "org", "x", "admin", "", 10)
		return err == nil && len(users) > 0 && users[len(users)-1] == "last"
	}, within, every)
	users, err := projection.Users(t.Context(), "org", "x", "admin", "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"ben", "cat", "last"}, users)
	after, err := projection.Users(t.Context(), "org", "x", "admin", "ben", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"cat"}, after)
}

func TestProjection_ForgetsAnErasedUserForGood(t *testing.T) {
	t.Parallel()
	projection, db, tell := setup(t)
	admin := &identity.AccessChange{EntityType: "org", EntityID: "x", Relation: "admin", Change: "granted"}
	tell(identity.Event{UserID: "ann", Version: 1}, admin)
	listed(t, projection, "ann")
	tell(identity.Event{Type: identity.TypeErasureRequested, UserID: "ann", Version: 2, ErasureID: uuid.NewString()}, nil)
	listed(t, projection)
	tell(identity.Event{UserID: "ann", Version: 3}, admin) // late
	tell(identity.Event{UserID: "ben", Version: 4}, admin)
	listed(t, projection, "ben")
	require.NoError(t, projection.Load(t.Context(), admins("ann"))) // an old list
	listed(t, projection, "ben")
	var rows int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM access").Scan(&rows))
	require.Equal(t, 1, rows)
}

// listed waits until these are the administrators of the organization.
func listed(t *testing.T, projection *whohas.Projection, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		users, err := projection.Users(t.Context(), "org", "x", "admin", "", 10)
		return err == nil && slices.Equal(users, want)
	}, within, every)
}

// admins is the provider's list.
func admins(users ...string) []whohas.Grant {
	list := make([]whohas.Grant, len(users))
	for i, user := range users {
		list[i] = whohas.Grant{EntityType: "org", EntityID: "x", Relation: "admin", UserID: user}
	}
	return list
}

func TestLoad_EveryEventWinsOverTheList(t *testing.T) {
	t.Parallel()
	projection, _, tell := setup(t)
	change := func(what string) *identity.AccessChange {
		return &identity.AccessChange{EntityType: "org", EntityID: "x", Relation: "admin", Change: what}
	}
	tell(identity.Event{UserID: "ann", Version: 1}, change("revoked"))
	tell(identity.Event{UserID: "ben", Version: 2}, change("granted"))
	listed(t, projection, "ben")
	list := admins("ann", "ben", "cat", "dan")
	for range 2 {
		require.NoError(t, projection.Load(t.Context(), list))
		listed(t, projection, "ben", "cat", "dan")
	}
	tell(identity.Event{UserID: "cat", Version: 3}, change("revoked"))
	listed(t, projection, "ben", "dan")
}

func TestLoad_RefusesWhatIsNoGrant(t *testing.T) {
	t.Parallel()
	projection, _, _ := setup(t)
	list := admins("ann", "ben")
	list[1].Relation = ""
	require.ErrorContains(t, projection.Load(t.Context(), list), "load a grant")
	listed(t, projection, "ann")
}
