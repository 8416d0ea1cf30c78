package meshtest

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Rekey tells every participant that a user has another ID and waits for the
// receipt of one.
func (m *Mesh) Rekey(oldID, newID, participantName string) participant.RekeyReceipt {
	m.t.Helper()
	data, err := json.Marshal(identity.Rekeying{RekeyID: uuid.NewString(), NewUserID: newID})
	require.NoError(m.t, err)
	e := identity.Event{
		ID: uuid.NewString(), Source: "identity-relay", Type: identity.TypeUserRekeyed, Version: 1,
		Time: time.Now().UTC(), UserID: oldID, Data: data,
	}
	raw, err := identity.Encode(e)
	require.NoError(m.t, err)
	m.Publish(mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw})
	messages := m.Messages("RECEIPTS", participant.ReceiptSubjectPrefix+participantName+participant.RekeySubjectSuffix, 1)
	var receipt participant.RekeyReceipt
	require.NoError(m.t, json.Unmarshal(messages[0].Data(), &receipt))
	return receipt
}
