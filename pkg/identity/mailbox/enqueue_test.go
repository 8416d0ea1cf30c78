package mailbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

func TestEnqueue_BelongsToTheTransaction(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	undo := errors.New("undo")
	err := pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
		require.NoError(t, mailbox.Enqueue(ctx, tx, mailbox.Message{Subject: "t.x"}))
		return undo
	})
	require.ErrorIs(t, err, undo)
	require.Zero(t, w.outbox())

	w.commit()
	w.commit(mailbox.Message{Subject: "t.x"}, mailbox.Message{Subject: "t.y"})
	require.Equal(t, 2, w.outbox())
}

func TestEnqueue_AddsAWaitingIDOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.commit(mailbox.Message{ID: "same", Subject: "t.x"})
	w.commit(mailbox.Message{ID: "same", Subject: "t.x"})
	require.Equal(t, 1, w.outbox())
}

func TestEnqueue_Refuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, m := range map[string]mailbox.Message{
		"no subject":           {},
		"wildcard":             {Subject: "t.*"},
		"full wildcard":        {Subject: "t.>"},
		"empty token":          {Subject: "t..x"},
		"space":                {Subject: "t.a b"},
		"control character":    {Subject: "t.a\n"},
		"system subject":       {Subject: "$JS.API.INFO"},
		"long subject":         {Subject: "t." + strings.Repeat("a", 300)},
		"ID with line break":   {ID: "a\r\nb", Subject: "t.x"},
		"long ID":              {ID: strings.Repeat("a", 256), Subject: "t.x"},
		"server's header":      {Subject: "t.x", Header: map[string]string{"Nats-Msg-Id": "x"}},
		"header injection":     {Subject: "t.x", Header: map[string]string{"A": "b\r\nC: d"}},
		"header name":          {Subject: "t.x", Header: map[string]string{"A:": "b"}},
		"large header":         {Subject: "t.x", Header: map[string]string{"A": strings.Repeat("b", 20<<10)}},
		"payload over 512 KiB": {Subject: "t.x", Payload: make([]byte, mailbox.MaxPayloadBytes+1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			tx, err := w.db.Pool.Begin(ctx)
			require.NoError(t, err)
			defer func() { require.NoError(t, tx.Rollback(ctx)) }()
			require.ErrorIs(t, mailbox.Enqueue(ctx, tx, m), mailbox.ErrInvalidMessage)
		})
	}
}
