package domain_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/services/billing/domain"
)

func TestPosting_RefusesWhatDoesNotBalance(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]domain.Entry{
		"nothing":         {},
		"one side":        {{Account: domain.Cash, AmountMinor: 1}},
		"too little":      {{Account: domain.Cash, AmountMinor: 2}, {Account: domain.Revenue, AmountMinor: -1}},
		"of no amount":    {{Account: domain.Cash, AmountMinor: 0}, {Account: domain.Revenue, AmountMinor: 0}},
		"above the limit": {{Account: domain.Cash, AmountMinor: domain.MaxAmountMinor + 1}, {Account: domain.Revenue, AmountMinor: -domain.MaxAmountMinor - 1}},
	} {
		require.ErrorIs(t, domain.Posting{Entries: entries}.Check(), domain.ErrUnbalanced, name)
	}
}

// No sequence of steps gives back more than was paid, and each posting balances.
func TestInvoice_NeverRefundsMoreThanWasPaid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, domain.MaxAmountMinor).Draw(t, "amount")
		inv, change, err := domain.New(uuid.New(), uuid.New(), domain.Owner{UserID: "alice"}, "EUR", amount, now)
		require.NoError(t, err)
		require.NoError(t, change.Posting.Check())
		cash := int64(0)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			before := inv
			var changed bool
			switch rapid.SampledFrom([]string{"pay", "refund", "cancel"}).Draw(t, "step") {
			case "pay":
				change, err = inv.Pay(rapid.SampledFrom([]int64{amount, amount - 1, 0}).Draw(t, "paid"), now)
				changed = err == nil
			case "refund":
				change, err = inv.Refund(rapid.Int64Range(-1, amount+1).Draw(t, "back"), now)
				changed = err == nil
			case "cancel":
				change, changed = inv.Cancel(now)
			}
			if !changed {
				require.Equal(t, before, inv)
				continue
			}
			require.NoError(t, change.Posting.Check())
			require.Equal(t, before.Version+1, inv.Version)
			for _, e := range change.Posting.Entries {
				if e.Account == domain.Cash {
					cash += e.AmountMinor
				}
			}
			require.GreaterOrEqual(t, cash, int64(0))
			require.LessOrEqual(t, inv.RefundedMinor, amount)
		}
	})
}
