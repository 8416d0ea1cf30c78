package statements_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/billing/domain"
	"github.com/shadowless/shadowless/services/billing/statements"
)

// ledgerless is a store of customers alone.
type ledgerless struct {
	owners  []domain.Owner
	erased  map[string]bool
	failing string
	months  map[time.Time]int
	written []string
}

var _ statements.Store = (*ledgerless)(nil)

func (l *ledgerless) Customers(_ context.Context, month time.Time, after domain.Owner, limit int) ([]domain.Owner, error) {
	l.months[month]++
	var out []domain.Owner
	for _, o := range l.owners {
		if o.UserID > after.UserID && len(out) < limit {
			out = append(out, o)
		}
	}
	return out, nil
}

func (l *ledgerless) WriteStatement(_ context.Context, o domain.Owner, _, _ time.Time) (bool, error) {
	if o.UserID == l.failing {
		return false, errors.New("disk full")
	}
	l.written = append(l.written, o.UserID)
	return !l.erased[o.UserID], nil
}

func TestCompute_GoesThroughEveryCustomerOfTheMonth(t *testing.T) {
	t.Parallel()
	store := &ledgerless{erased: map[string]bool{"u0003": true}, months: map[time.Time]int{}}
	for n := range 1200 { // more than two batches
		store.owners = append(store.owners, domain.Owner{UserID: fmt.Sprintf("u%04d", n)})
	}
	job := statements.New(store, time.Now, slog.New(slog.DiscardHandler))
	// 23:30 in New York on the last of November is December in UTC.
	at := time.Date(2026, 11, 30, 23, 30, 0, 0, time.FixedZone("EST", -5*3600))
	result, err := job.Compute(t.Context(), at)
	require.NoError(t, err)
	require.Equal(t, statements.Result{Written: 1199, Erased: 1}, result)
	require.Len(t, store.written, 1200)
	require.Equal(t, map[time.Time]int{time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC): 3}, store.months)
}

func TestCompute_StopsAtAFailure(t *testing.T) {
	t.Parallel()
	store := &ledgerless{owners: []domain.Owner{{UserID: "a"}, {UserID: "b"}}, failing: "b", months: map[time.Time]int{}}
	result, err := statements.New(store, time.Now, slog.New(slog.DiscardHandler)).Compute(t.Context(), time.Now())
	require.ErrorContains(t, err, "disk full")
	require.Equal(t, 1, result.Written)
}
