package orders_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/orders"
)

func TestConfig_NamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[orders.Config](orders.Prefix, []string{
		"ORDERS_TYPO=1", "ORDERS_INVOICE_RETRY_AFTER=0s", "ORDERS_INVOICE_RETRY_INTERVAL=-1s", "ORDERS_DIRECTORY_URL=http://idp/directory",
	})
	require.Error(t, err)
	for _, fault := range []string{
		"ORDERS_TYPO", "ORDERS_BILLING_URL", "ORDERS_INVOICE_RETRY_AFTER", "ORDERS_INVOICE_RETRY_INTERVAL", "ORDERS_DIRECTORY_API_KEY_FILE",
		"TOKEN_EXCHANGE_URL", "API_KEY_FILE", "AUTHN_CONFIG_FILE", "NATS_URL", "DATABASE_URL_FILE", "TOMBSTONE_KEY_FILE", "TLS_CERT_FILE",
	} {
		require.ErrorContains(t, err, fault)
	}
}
