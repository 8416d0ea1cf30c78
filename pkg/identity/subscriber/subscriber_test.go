package subscriber_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/subscriber"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func message(t *testing.T, e identity.Event) mailbox.Message {
	t.Helper()
	e.ID, e.Source, e.Time = uuid.NewString(), "/relay", time.Now()
	raw, err := identity.Encode(e)
	require.NoError(t, err)
	return mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw}
}

func TestHandler_CallsByTypeWithDecodedData(t *testing.T) {
	t.Parallel()
	var users []string
	var changes []identity.AccessChange
	handle, err := subscriber.Handler(
		subscriber.On(identity.TypeUserUpdated, func(_ context.Context, _ pgx.Tx, e identity.Event) error {
			users = append(users, e.UserID)
			return nil
		}),
		subscriber.OnData(identity.TypeAccessChanged, func(_ context.Context, _ pgx.Tx, _ identity.Event, c identity.AccessChange) error {
			changes = append(changes, c)
			return nil
		}))
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, handle(ctx, nil, message(t, identity.Event{Type: identity.TypeUserUpdated, UserID: "a", Version: 1})))
	require.NoError(t, handle(ctx, nil, message(t, identity.Event{Type: identity.TypeUserDeleted, UserID: "b", Version: 2})))
	require.NoError(t, handle(ctx, nil, message(t, identity.Event{Type: "user.renamed", UserID: "c", Version: 3})))
	require.NoError(t, handle(ctx, nil, message(t, identity.Event{
		Type: identity.TypeAccessChanged, UserID: "a", Version: 4,
		Data: json.RawMessage(`{"entity_type":"order","relation":"staff","change":"granted","later":1}`),
	})))
	require.Equal(t, []string{"a"}, users)
	require.Equal(t, []identity.AccessChange{{EntityType: "order", Relation: "staff", Change: "granted"}}, changes)

	err = handle(ctx, nil, message(t, identity.Event{Type: identity.TypeAccessChanged, UserID: "a", Version: 5, Data: json.RawMessage(`{"relation":7}`)}))
	require.ErrorIs(t, err, mailbox.ErrPoison)
	require.ErrorIs(t, handle(ctx, nil, mailbox.Message{Payload: []byte("{")}), mailbox.ErrPoison)
	require.Len(t, changes, 1)
}

func TestHandler_RefusesATypeThatIsRoutedTwice(t *testing.T) {
	t.Parallel()
	f := func(context.Context, pgx.Tx, identity.Event) error { return nil }
	for _, routes := range [][]subscriber.Route{
		{subscriber.On("user.updated", f), subscriber.On("user.updated", f)}, {subscriber.On("", f)}, {subscriber.On("user.updated", nil)},
	} {
		_, err := subscriber.Handler(routes...)
		require.ErrorContains(t, err, "each type needs one function")
	}
}

func TestNewest_TheLaterOfTwoWinsInWhateverOrder(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	state := map[string]string{}
	set := func(to string) subscriber.Func {
		return func(_ context.Context, _ pgx.Tx, e identity.Event) error { state[e.UserID] = to; return nil }
	}
	handle, err := subscriber.Handler(subscriber.Newest(mailbox.Guard{Consumer: "shop-identity"},
		subscriber.On(identity.TypeUserBanned, set("banned")), subscriber.On(identity.TypeUserUnbanned, set("free")))...)
	require.NoError(t, err)
	take := func(eventType, user string, version uint64) {
		m := message(t, identity.Event{Type: eventType, UserID: user, Version: version})
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return handle(t.Context(), tx, m) }))
	}
	take(identity.TypeUserUnbanned, "a", 8)
	take(identity.TypeUserBanned, "a", 7)
	take(identity.TypeUserBanned, "b", 3)
	take(identity.TypeUserUnbanned, "b", 4)
	take(identity.TypeUserBanned, "b", 5)
	require.Equal(t, map[string]string{"a": "free", "b": "banned"}, state)
}

func TestByPartition_IsTheSameForEveryTypeOfAUser(t *testing.T) {
	t.Parallel()
	partition := func(eventType string) string {
		return subscriber.ByPartition(message(t, identity.Event{Type: eventType, UserID: "auth0|a.b", ErasureID: "e", Version: 1}))
	}
	require.Equal(t, partition(identity.TypeUserBanned), partition(identity.TypeErasureRequested))
	require.Len(t, partition(identity.TypeUserBanned), 2)
}
