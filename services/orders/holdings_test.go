package orders_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings/holdingstest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestHoldings_WhatIsHeldOfAUserIsToldAndMoves(t *testing.T) {
	t.Parallel()
	w := start(t)
	order := w.place("alice")
	w.place("bob")
	s := holdingstest.Service{URL: w.service.URL, UserID: "alice", Token: w.serviceToken, UserToken: w.user("alice", authntest.Scope("identity:export"))}
	told := holdingstest.Check(t, s)
	require.Len(t, told.Places, 2)
	require.Len(t, told.Tables["orders"], 1)
	require.Equal(t, order.ID.String(), told.Tables["orders"][0]["id"])
	require.Len(t, told.Tables["order_items"], 2, "what was ordered belongs to the order")
	require.Len(t, told.Tables["idempotency_keys"], 1)
	require.NotContains(t, told.Tables["idempotency_keys"][0], "request_hash")
	for _, c := range told.Preview.Columns {
		require.Equal(t, int64(1), c.Rows, c.Table)
	}

	receipt := w.Rekey("alice", "alice-2", "orders")
	require.Equal(t, told.Preview.Columns, receipt.Columns)
	mine, err := w.client.Order(t.Context(), w.user("alice-2"), order.ID)
	require.NoError(t, err)
	require.Equal(t, order.ID, mine.ID)
	_, err = w.client.Order(t.Context(), w.user("alice"), order.ID)
	refusal(t, err, http.StatusNotFound, "order-not-found")
	_, err = w.client.Place(t.Context(), w.user("alice"), uuid.NewString(), tea)
	require.Error(t, err, "a late token of the old ID brings nothing back")
	require.Empty(t, holdingstest.Tell(t, s).Tables)
}
