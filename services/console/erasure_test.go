package console_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/console"
)

func TestErasure_EndsSessionsAndAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, bob := w.browser(), w.browser()
	b.signIn()
	erased := w.idp.user
	w.idp.change(func(i *testIDP) { i.user = "bob" })
	bob.signIn()

	event := identity.Event{
		ID: uuid.NewString(), Source: "https://relay.example", Type: identity.TypeErasureRequested, Version: 7, Time: time.Now().UTC(),
		UserID: erased, ErasureID: uuid.NewString(),
	}
	raw, err := identity.Encode(event)
	require.NoError(t, err)
	_, err = w.mesh.Broker.JetStream.Publish(t.Context(), identity.Subject(event), raw)
	require.NoError(t, err)

	var receipt participant.Receipt
	require.Eventually(t, func() bool {
		stream, err := w.mesh.Broker.JetStream.Stream(t.Context(), streams.Receipts)
		if err != nil {
			return false
		}
		msg, err := stream.GetLastMsgForSubject(t.Context(), participant.ReceiptSubjectPrefix+console.Name)
		return err == nil && json.Unmarshal(msg.Data, &receipt) == nil
	}, meshtest.Within, meshtest.Every)
	require.Equal(t, event.ErasureID, receipt.ErasureID)
	require.Len(t, receipt.Columns, 1)
	require.EqualValues(t, 1, receipt.Columns[0].Rows)
	require.Zero(t, receipt.Columns[0].Remaining)

	require.Contains(t, b.get("/").body, "That session has ended")
	require.Contains(t, bob.get("/").body, "My orders")
	w.idp.change(func(i *testIDP) { i.user = erased })
	p := b.get("/auth/login")
	require.Equal(t, http.StatusForbidden, p.status)
	require.Contains(t, p.body, "This account was deleted")
	require.Equal(t, 1, w.sessions())
}
