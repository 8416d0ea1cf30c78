package orders

import (
	"time"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/config"
)

// Config of these orders.
type Config struct {
	config.Common
	config.Backends
	Users users.Config

	BillingURL           string        `env:"ORDERS_BILLING_URL" doc:"base URL of billing"`
	InvoiceRetryAfter    time.Duration `env:"ORDERS_INVOICE_RETRY_AFTER" envDefault:"5s" doc:"how long after an order was placed without an invoice it is first tried again"`
	InvoiceRetryInterval time.Duration `env:"ORDERS_INVOICE_RETRY_INTERVAL" envDefault:"1s" doc:"how often to look for orders that wait for an invoice"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	faults = append(faults, c.Users.Faults()...)
	return append(faults,
		config.Required("TOKEN_EXCHANGE_URL", c.TokenExchangeURL),
		config.Required("API_KEY_FILE", c.APIKeyFile),
		config.Required("ORDERS_BILLING_URL", c.BillingURL),
		config.HTTPURL("ORDERS_BILLING_URL", c.BillingURL),
		config.Positive("ORDERS_INVOICE_RETRY_AFTER", c.InvoiceRetryAfter),
		config.Positive("ORDERS_INVOICE_RETRY_INTERVAL", c.InvoiceRetryInterval))
}
