package domain_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/services/orders/domain"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func item(quantity, price int64) domain.Item {
	return domain.Item{SKU: "tea", Quantity: quantity, UnitPriceMinor: price}
}

func placed(t require.TestingT) domain.Order {
	o, err := domain.New(uuid.New(), domain.Owner{UserID: "alice"}, "EUR", []domain.Item{item(1, 1)}, now)
	require.NoError(t, err)
	return o
}

func TestNew_AddsUp(t *testing.T) {
	t.Parallel()
	o, err := domain.New(uuid.New(), domain.Owner{}, "EUR", []domain.Item{item(2, 350), item(1, 99)}, now)
	require.NoError(t, err)
	require.EqualValues(t, 799, o.TotalMinor)
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		currency string
		items    []domain.Item
		err      error
	}{
		"no items":          {"EUR", nil, domain.ErrItems},
		"too many items":    {"EUR", make([]domain.Item, domain.MaxItems+1), domain.ErrItems},
		"no quantity":       {"EUR", []domain.Item{item(0, 1)}, domain.ErrItems},
		"negative quantity": {"EUR", []domain.Item{item(-1, 1)}, domain.ErrItems},
		"too many":          {"EUR", []domain.Item{item(domain.MaxQuantity+1, 1)}, domain.ErrItems},
		"for nothing":       {"EUR", []domain.Item{item(1, 0)}, domain.ErrItems},
		"paid to take it":   {"EUR", []domain.Item{item(1, -1)}, domain.ErrItems},
		"no SKU":            {"EUR", []domain.Item{{Quantity: 1, UnitPriceMinor: 1}}, domain.ErrItems},
		"long SKU":          {"EUR", []domain.Item{{SKU: strings.Repeat("x", 65), Quantity: 1, UnitPriceMinor: 1}}, domain.ErrItems},
		"odd SKU":           {"EUR", []domain.Item{{SKU: "a\nb", Quantity: 1, UnitPriceMinor: 1}}, domain.ErrItems},
		"no currency":       {"", []domain.Item{item(1, 1)}, domain.ErrCurrency},
		"small letters":     {"eur", []domain.Item{item(1, 1)}, domain.ErrCurrency},
		"above the limit":   {"EUR", []domain.Item{item(1, domain.MaxTotalMinor), item(1, 1)}, domain.ErrTotal},
		"would overflow":    {"EUR", []domain.Item{item(2, math.MaxInt64)}, domain.ErrTotal},
		"would wrap to 0":   {"EUR", []domain.Item{item(4, 1<<62)}, domain.ErrTotal},
	} {
		_, err := domain.New(uuid.New(), domain.Owner{}, tc.currency, tc.items, now)
		require.ErrorIs(t, err, tc.err, name)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	o := placed(t)
	changed, err := o.Cancel(now)
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = o.Cancel(now)
	require.NoError(t, err)
	require.False(t, changed)
	for _, s := range []domain.Status{domain.Paid, domain.Refunded} {
		o.Status = s
		_, err = o.Cancel(now)
		require.ErrorIs(t, err, domain.ErrNotCancelable)
	}
}

// However billing's events are ordered, repeated or lost, the order ends where
// the newest that arrived says, and a canceled one stays canceled.
func TestHear_OrderOfDeliveryDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := placed(t)
		canceled := rapid.Bool().Draw(t, "canceled")
		if canceled {
			_, err := o.Cancel(now)
			require.NoError(t, err)
		}
		invoice := uuid.New()
		story := []domain.InvoiceStatus{1: "open", 2: domain.InvoicePaid, 3: domain.InvoicePaid, 4: domain.InvoiceRefunded}
		heard := rapid.SliceOfN(rapid.Int64Range(2, 4), 1, 8).Draw(t, "heard")
		var newest int64
		for _, version := range heard {
			before := o.Version
			changed := o.Hear(domain.Invoice{ID: invoice, OrderID: o.ID, Status: story[version], Version: version}, now)
			require.Equal(t, version > newest, changed)
			require.Equal(t, changed, o.Version == before+1)
			newest = max(newest, version)
		}
		want := domain.Paid
		if newest == 4 {
			want = domain.Refunded
		}
		if canceled {
			want = domain.Canceled
		}
		require.Equal(t, want, o.Status)
		require.Equal(t, invoice, *o.InvoiceID)
	})
}

func TestSetInvoice_OnceOnly(t *testing.T) {
	t.Parallel()
	o := placed(t)
	first := uuid.New()
	require.True(t, o.SetInvoice(first, now))
	require.False(t, o.SetInvoice(uuid.New(), now))
	require.Equal(t, first, *o.InvoiceID)
}
