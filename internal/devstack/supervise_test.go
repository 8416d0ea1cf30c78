package devstack

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSupervisor_LeavesForeignProgramsAlone(t *testing.T) {
	t.Parallel()
	s := newSupervisor()
	s.add(program{name: "orders"}, slog.New(slog.DiscardHandler))
	s.leave("orders")
	require.ErrorIs(t, s.start("orders"), ErrForeign)
	require.ErrorIs(t, s.stop("orders"), ErrForeign)
	require.NoError(t, s.stopAll())
}

func TestSupervisor_ReportsTheFirstEndThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	s := newSupervisor()
	broken := errors.New("broken")
	s.add(program{name: "orders", run: func(context.Context, []string, *slog.Logger) error { return broken }}, slog.New(slog.DiscardHandler))
	s.add(program{name: "billing", run: func(ctx context.Context, _ []string, _ *slog.Logger) error { <-ctx.Done(); return nil }}, slog.New(slog.DiscardHandler))
	require.NoError(t, s.start("billing"))
	require.NoError(t, s.start("orders"))
	require.ErrorIs(t, <-s.failed, broken)
	require.NoError(t, s.stopAll(), "what failed was told once")
	s.fail(errors.New("postgres ended"))
	require.NotPanics(t, func() { s.fail(errors.New("a later one does not block")) })
}
