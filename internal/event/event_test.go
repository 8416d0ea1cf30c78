package event_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

type data struct {
	N int `json:"n"`
}

func TestMessage_RoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m, err := event.Message("orders", "orders.v1.order.canceled", at, data{7})
	require.NoError(t, err)
	require.Equal(t, "orders.v1.order.canceled", m.Subject)
	e, err := event.Decode[data](m)
	require.NoError(t, err)
	require.Equal(t, 7, e.Data.N)
	require.Equal(t, m.ID, e.ID)
	require.Equal(t, at, e.Time)
}

func TestDecode_ToleratesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	e, err := event.Decode[data](mailbox.Message{Subject: "a.b", Payload: []byte(`{"specversion":"1.0","id":"1","type":"a.b","later":1,"data":{"n":2,"later":1}}`)})
	require.NoError(t, err)
	require.Equal(t, 2, e.Data.N)
}

func TestDecode_RefusesForGood(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"no JSON":         `{`,
		"another version": `{"specversion":"2.0","id":"1","type":"a.b","data":{}}`,
		"no ID":           `{"specversion":"1.0","type":"a.b","data":{}}`,
		"another type":    `{"specversion":"1.0","id":"1","type":"a.c","data":{}}`,
		"odd data":        `{"specversion":"1.0","id":"1","type":"a.b","data":{"n":"x"}}`,
	} {
		_, err := event.Decode[data](mailbox.Message{Subject: "a.b", Payload: []byte(payload)})
		require.ErrorIs(t, err, mailbox.ErrPoison, name)
	}
}
