package directory_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/directory"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

// replica is a client that follows the events of a real server.
type replica struct {
	*directory.Client
	book *book
}

func follow(t *testing.T, broker *identitytest.Broker, change ...func(*directory.ClientConfig)) replica {
	t.Helper()
	b, c := setup(t, append(change, func(config *directory.ClientConfig) { config.Now = nil; config.TTL = time.Hour })...)
	b.users["a"] = directory.Profile{Name: "Ann"}
	lookup(t, c, "a")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx, broker.Conn, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	// What was known before it followed is asked for again.
	require.Eventually(t, func() bool { return lookup(t, c, "a")["a"].Name == "Ann" && b.callCount() > 1 }, within, every)
	return replica{c, b}
}

func publish(t *testing.T, broker *identitytest.Broker, eventType, user string, version uint64) {
	t.Helper()
	e := identity.Event{ID: uuid.NewString(), Source: "/relay", Type: eventType, UserID: user, ErasureID: "e", Version: version, Time: time.Now()}
	raw, err := identity.Encode(e)
	require.NoError(t, err)
	require.NoError(t, broker.Conn.Publish(identity.Subject(e), raw))
}

func (r replica) shows(t *testing.T, want directory.Profile) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := r.Lookup(context.Background(), []string{"a"})
		return err == nil && found["a"] == want
	}, within, every)
}

func TestFollow_EveryReplicaHearsOfAChange(t *testing.T) {
	t.Parallel()
	broker := identitytest.NATS(t)
	replicas := []replica{follow(t, broker), follow(t, broker)}
	for _, r := range replicas {
		r.book.set(func() { r.book.users["a"] = directory.Profile{Name: "Anna"} })
		require.Equal(t, "Ann", lookup(t, r.Client, "a")["a"].Name, "nothing was said yet")
	}
	publish(t, broker, identity.TypeUserUpdated, "a", 10)
	for _, r := range replicas {
		r.shows(t, directory.Profile{Name: "Anna"})
	}
}

func TestFollow_ADeletedUserIsShownAsSuchAndStaysIt(t *testing.T) {
	t.Parallel()
	broker := identitytest.NATS(t)
	r := follow(t, broker)
	publish(t, broker, identity.TypeUserDeleted, "a", 10)
	r.shows(t, directory.Profile{Erased: true})
	publish(t, broker, identity.TypeUserUpdated, "a", 11)
	publish(t, broker, identity.TypeUserCreated, "a", 9) // a replay of what was before
	publish(t, broker, identity.TypeErasureRequested, "a", 12)
	require.NoError(t, broker.Conn.Flush())
	for range 20 {
		require.Equal(t, directory.Profile{Erased: true}, lookup(t, r.Client, "a")["a"])
	}
	r.book.set(func() { r.book.users["a"] = directory.Profile{Name: "Ann again"} })
	publish(t, broker, identity.TypeErasureReadmitted, "a", 13)
	r.shows(t, directory.Profile{Name: "Ann again"})
}

// The directory's older answer is on its way when the event comes.
func TestFollow_AnEventOvertakesAnAnswer(t *testing.T) {
	t.Parallel()
	broker := identitytest.NATS(t)
	r := follow(t, broker)
	heard := make(chan struct{})
	r.book.set(func() {
		r.book.before = heard
		r.book.users["a"] = directory.Profile{Name: "Ann before"}
	})
	r.Forget("a")
	answer := make(chan directory.Profile, 1)
	go func() {
		found, _ := r.Lookup(context.Background(), []string{"a"})
		answer <- found["a"]
	}()
	require.Eventually(t, func() bool { return r.book.waiting.Load() == 1 }, within, every)
	publish(t, broker, identity.TypeUserDeleted, "a", 20)
	r.shows(t, directory.Profile{Erased: true})
	close(heard)
	require.Equal(t, directory.Profile{Erased: true}, <-answer)
	require.Equal(t, directory.Profile{Erased: true}, lookup(t, r.Client, "a")["a"])
}

func TestFollow_AfterAGapEverythingIsAskedForAgainAndStandsInUntilThen(t *testing.T) {
	t.Parallel()
	broker := identitytest.NATS(t)
	r := follow(t, broker)
	r.book.set(func() { r.book.users["a"] = directory.Profile{Name: "Anna"} })
	broker.Restart() // the event of the new name is lost
	r.shows(t, directory.Profile{Name: "Anna"})

	publish(t, broker, identity.TypeUserUpdated, "a", 30)
	r.book.set(func() { r.book.status = http.StatusServiceUnavailable })
	for range 20 {
		require.Equal(t, "Anna", lookup(t, r.Client, "a")["a"].Name, "stale is better than none")
	}
}
