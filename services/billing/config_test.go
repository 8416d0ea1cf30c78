package billing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/billing"
)

func TestConfig_NamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[billing.Config](billing.Prefix, []string{
		"BILLING_REFUND_DECIDER=coin", "BILLING_REFUND_LIMIT_MINOR=-1", "BILLING_STATEMENTS_INTERVAL=0s", "BILLING_TYPO=1",
		"BILLING_REFUND_MAX_AUTH_AGE=-1s",
		"BILLING_CHECK_PERMISSION_URL=ftp://idp", "INSECURE_PLAIN_HTTP=true",
	})
	require.Error(t, err)
	for _, fault := range []string{
		"BILLING_REFUND_DECIDER", "BILLING_REFUND_LIMIT_MINOR", "BILLING_STATEMENTS_INTERVAL", "BILLING_TYPO", "BILLING_REFUND_MAX_AUTH_AGE",
		"BILLING_CHECK_PERMISSION_URL", "INSECURE_PLAIN_HTTP", "AUTHN_CONFIG_FILE", "NATS_URL", "DATABASE_URL_FILE", "TOMBSTONE_KEY_FILE",
	} {
		require.ErrorContains(t, err, fault)
	}
}

func TestConfig_AskingNeedsAnAddress(t *testing.T) {
	t.Parallel()
	_, err := config.Load[billing.Config](billing.Prefix, nil)
	require.ErrorContains(t, err, "BILLING_CHECK_PERMISSION_URL is required")
	_, err = config.Load[billing.Config](billing.Prefix, []string{"BILLING_REFUND_DECIDER=local"})
	require.NotContains(t, err.Error(), "BILLING_CHECK_PERMISSION_URL")
}
