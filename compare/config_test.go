package compare_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/billing"
	"github.com/shadowless/shadowless/compare/orders"
	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/authn"
	realbilling "github.com/shadowless/shadowless/services/billing"
	realorders "github.com/shadowless/shadowless/services/orders"
)

func TestConfig_NamesEveryFault(t *testing.T) {
	t.Parallel()
	environ := []string{"SHADOW_USER_CACHE=-1s", "SHADOW_WEBHOOK_MAX_AGE=0s", "SHADOW_IDP_URL=http://idp", "SHADOW_RECONCILE_INTERVAL=0s", "SHADOW_WEBHOOK_SECRETS_FILE=/does/not/exist"}
	_, ordersErr := config.Load[orders.Config](realorders.Prefix, environ)
	_, billingErr := config.Load[billing.Config](realbilling.Prefix, environ)
	for _, name := range []string{
		"SHADOW_USER_CACHE (-1s)", "SHADOW_WEBHOOK_MAX_AGE", "SHADOW_IDP_CREDENTIAL_FILE is required", "SHADOW_RECONCILE_INTERVAL",
		"SHADOW_WEBHOOK_SECRETS_FILE", "DATABASE_URL_FILE is required", "TOMBSTONE_KEY_FILE is required",
	} {
		require.ErrorContains(t, ordersErr, name)
		require.ErrorContains(t, billingErr, name)
	}
	require.ErrorContains(t, ordersErr, "ORDERS_BILLING_URL is required")
}

// The two archetypes have the same routes, save those by which each learns of users.
func TestAccess_IsTheRealOne(t *testing.T) {
	t.Parallel()
	strict := realbilling.Config{RefundACR: []string{"mfa"}, RefundMaxAuthAge: time.Minute}
	for _, c := range []struct{ real, shadow access.Table }{
		{realorders.Access(), orders.Access()}, {strict.Access(), billing.Config{Config: strict}.Access()},
	} {
		var want, got []string
		stepUp := map[string]authn.StepUp{}
		for _, r := range c.real.Routes {
			if !strings.Contains(r.Pattern, "/v1/identity/") {
				want = append(want, r.Pattern)
				stepUp[r.Pattern] = r.StepUp
			}
		}
		for _, r := range c.shadow.Routes {
			require.Equal(t, access.FailOpen, r.Posture, "there is no list of revocations that could be stale")
			if r.Pattern != "POST /v1/webhooks/auther" {
				require.False(t, r.IsPublic(), r.Pattern)
				got = append(got, r.Pattern)
				require.Equal(t, stepUp[r.Pattern], r.StepUp, r.Pattern)
			}
		}
		require.Equal(t, want, got)
	}
}
