package gokit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/authn/gokit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var served endpoint.Endpoint = func(context.Context, any) (any, error) { return "served", nil }

// alice is a context with a caller who may read orders.
func alice(t *testing.T) context.Context {
	t.Helper()
	iss := authntest.NewIssuer(t)
	p, err := iss.Verifier(t, authntest.DefaultAudience).Verify(t.Context(), iss.UserToken("alice",
		authntest.Permissions(map[string][]string{"order": {"read", "refund"}}),
		authntest.ABACRequired(map[string][]string{"order": {"refund"}})))
	require.NoError(t, err)
	return authn.NewContext(t.Context(), p)
}

func TestRequirePrincipal(t *testing.T) {
	t.Parallel()
	e := gokit.RequirePrincipal()(served)
	_, err := e(t.Context(), nil)
	require.ErrorIs(t, err, authn.ErrMissingToken)
	got, err := e(alice(t), nil)
	require.NoError(t, err)
	require.Equal(t, "served", got)
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	badRequest := errors.New("no such order")
	question := func(_ context.Context, request any) (authn.Question, error) {
		permission, ok := request.(string)
		if !ok {
			return authn.Question{}, badRequest
		}
		return authn.Question{EntityType: "order", EntityID: "o-1", Permission: permission}, nil
	}
	e := gokit.Authorize(nil, question)(served)
	ctx := alice(t)
	_, err := e(t.Context(), "read")
	require.ErrorIs(t, err, authn.ErrMissingToken)
	got, err := e(ctx, "read")
	require.NoError(t, err)
	require.Equal(t, "served", got)
	_, err = e(ctx, "void")
	require.ErrorIs(t, err, authn.ErrForbidden)
	_, err = e(ctx, "refund")
	require.ErrorIs(t, err, authn.ErrCannotAsk)
	_, err = e(ctx, 7)
	require.ErrorIs(t, err, badRequest)
}

func TestRequireFresh(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(time.Unix(1_795_000_000, 0))
	list := authn.NewRevocationList(authn.RevocationListOptions{Now: clock.Now})
	e := gokit.RequireFresh(list, time.Second)(served)
	_, err := e(t.Context(), nil)
	require.ErrorIs(t, err, authn.ErrStale)
	list.MarkLoaded()
	list.Heartbeat(clock.Now())
	_, err = e(t.Context(), nil)
	require.NoError(t, err)
	clock.Advance(2 * time.Second)
	_, err = e(t.Context(), nil)
	require.ErrorIs(t, err, authn.ErrStale)
}
