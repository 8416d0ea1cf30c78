package orders

import (
	"errors"
	"time"

	"github.com/shadowless/shadowless/internal/config"
)

// Config of orders.
type Config struct {
	config.Common
	config.Backends

	BillingURL           string        `env:"ORDERS_BILLING_URL" doc:"base URL of billing"`
	DirectoryURL         string        `env:"ORDERS_DIRECTORY_URL" doc:"where display names are looked up; without it staff see none"`
	DirectoryAPIKeyFile  string        `env:"ORDERS_DIRECTORY_API_KEY_FILE" doc:"API key for the directory, sent as X-Api-Key; re-read when it changes"`
	InvoiceRetryAfter    time.Duration `env:"ORDERS_INVOICE_RETRY_AFTER" envDefault:"5s" doc:"how long after an order was placed without an invoice it is first tried again"`
	InvoiceRetryInterval time.Duration `env:"ORDERS_INVOICE_RETRY_INTERVAL" envDefault:"1s" doc:"how often to look for orders that wait for an invoice"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	faults = append(faults,
		config.Required("TOKEN_EXCHANGE_URL", c.TokenExchangeURL),
		config.Required("API_KEY_FILE", c.APIKeyFile),
		config.Required("ORDERS_BILLING_URL", c.BillingURL),
		config.HTTPURL("ORDERS_BILLING_URL", c.BillingURL),
		config.HTTPURL("ORDERS_DIRECTORY_URL", c.DirectoryURL),
		config.Readable("ORDERS_DIRECTORY_API_KEY_FILE", c.DirectoryAPIKeyFile),
		config.Positive("ORDERS_INVOICE_RETRY_AFTER", c.InvoiceRetryAfter),
		config.Positive("ORDERS_INVOICE_RETRY_INTERVAL", c.InvoiceRetryInterval))
	if c.DirectoryURL != "" && c.DirectoryAPIKeyFile == "" {
		faults = append(faults, errors.New("ORDERS_DIRECTORY_API_KEY_FILE is required with ORDERS_DIRECTORY_URL"))
	}
	return faults
}
