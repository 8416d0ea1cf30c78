package gokit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/authn/gokit"
)

func TestRequireStepUpAndScopes(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	p, err := iss.Verifier(t, authntest.DefaultAudience).Verify(t.Context(), iss.UserToken("alice",
		authntest.Claim("acr", "mfa"), authntest.Scope("read")))
	require.NoError(t, err)
	ctx := authn.NewContext(t.Context(), p)
	for _, s := range []authn.StepUp{authn.RequireACR("mfa"), authn.RequireMaxAge(time.Minute)} {
		_, err = gokit.RequireStepUp(s, nil)(served)(ctx, nil)
		require.NoError(t, err)
		_, err = gokit.RequireStepUp(s, nil)(served)(t.Context(), nil)
		require.ErrorIs(t, err, authn.ErrMissingToken)
	}
	_, err = gokit.RequireStepUp(authn.RequireACR("hardware"), nil)(served)(ctx, nil)
	require.ErrorIs(t, err, authn.ErrStepUp)
	later := func() time.Time { return time.Now().Add(time.Hour) }
	_, err = gokit.RequireStepUp(authn.RequireMaxAge(time.Minute), later)(served)(ctx, nil)
	require.ErrorIs(t, err, authn.ErrStepUp)

	_, err = gokit.RequireScopes("read")(served)(ctx, nil)
	require.NoError(t, err)
	_, err = gokit.RequireScopes("read", "write")(served)(ctx, nil)
	require.ErrorIs(t, err, authn.ErrScope)
	_, err = gokit.RequireScopes()(served)(t.Context(), nil)
	require.ErrorIs(t, err, authn.ErrMissingToken)
}
