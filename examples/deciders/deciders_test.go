package deciders_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/examples/deciders"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// answer is a system that always says the same.
type answer string

func (a answer) Ask(context.Context, *authn.Principal, authn.Question) (bool, error) {
	if a == "silent" {
		return false, authn.ErrCannotAsk
	}
	return a == "yes", nil
}

func TestAskers(t *testing.T) {
	t.Parallel()
	idp := authntest.NewIssuer(t)
	p, err := idp.Verifier(t, "orders").Verify(t.Context(), idp.UserToken("u", authntest.Audience("orders")))
	require.NoError(t, err)
	for _, c := range []struct {
		name  string
		asker authn.Asker
		want  error
	}{
		{"both yes", deciders.Both(answer("yes"), answer("yes")), nil},
		{"one no", deciders.Both(answer("yes"), answer("no")), authn.ErrForbidden},
		{"one silent", deciders.Both(answer("silent"), answer("yes")), authn.ErrCannotAsk},
		{"silent and no", deciders.Both(answer("silent"), answer("no")), authn.ErrForbidden},
		{"nobody to ask", deciders.Both(), authn.ErrCannotAsk},
		{"first answers no", deciders.StandIn(answer("no"), answer("yes")), authn.ErrForbidden},
		{"first is silent, second yes", deciders.StandIn(answer("silent"), answer("yes")), nil},
		{"first is silent, second no", deciders.StandIn(answer("silent"), answer("no")), authn.ErrForbidden},
		{"both are silent", deciders.StandIn(answer("silent"), answer("silent")), authn.ErrCannotAsk},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, deciders.Delegate(t.Context(), p, c.asker, authn.Question{EntityType: "order", Permission: "read"}), c.want)
		})
	}
}
