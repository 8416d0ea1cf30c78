package billing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings/holdingstest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestHoldings_WhatIsHeldOfAUserIsToldAndMoves(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.invoice("alice", 700)
	w.invoice("carol", 300)
	month := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for user, paid := range map[string]int{"alice": 700, "carol": 300} {
		_, err := w.db.Owner.Exec(t.Context(), `INSERT INTO statements
			(user_id, tenant_id, month, currency, invoices, invoiced_minor, paid_minor, refunded_minor, computed_at)
			VALUES ($1, 'acme', $2, 'EUR', 1, $3, $3, 0, now())`, user, month, paid)
		require.NoError(t, err)
	}
	s := holdingstest.Service{URL: w.service.URL, UserID: "alice", Token: w.serviceToken, UserToken: w.user("alice", authntest.Scope("identity:export"))}
	told := holdingstest.Check(t, s)
	require.Len(t, told.Tables["invoices"], 1, "retained rows are told too")
	require.Len(t, told.Tables["ledger_transactions"], 1)
	require.Len(t, told.Tables["ledger_entries"], 2, "with what was posted")
	require.Len(t, told.Tables["statements"], 1)

	receipt := w.Rekey("alice", "carol", "billing")
	for _, c := range receipt.Columns {
		if c.Table == "statements" {
			require.Equal(t, int64(1), c.Merged)
			require.NotEmpty(t, c.Reason)
		}
	}
	var invoices, paid int
	require.NoError(t, w.db.Owner.QueryRow(t.Context(), `SELECT invoices, paid_minor FROM statements WHERE user_id = 'carol'`).Scan(&invoices, &paid))
	require.Equal(t, []int{2, 1000}, []int{invoices, paid}, "two statements of one month became one")
	require.NoError(t, w.db.Owner.QueryRow(t.Context(), `SELECT count(*) FROM invoices WHERE user_id = 'carol'`).Scan(&invoices))
	require.Equal(t, 2, invoices)
}
