package billing

import (
	"fmt"
	"time"

	"github.com/shadowless/shadowless/internal/config"
)

// Who decides refunds.
const (
	// DeciderIDP asks the identity provider's check-permission.
	DeciderIDP = "idp"
	// DeciderLocal applies the limit here, for providers that cannot answer for users.
	DeciderLocal = "local"
)

// Config of billing.
type Config struct {
	config.Common
	config.Backends

	RefundDecider      string        `env:"BILLING_REFUND_DECIDER" envDefault:"idp" doc:"who decides refunds: idp or local"`
	CheckPermissionURL string        `env:"BILLING_CHECK_PERMISSION_URL" doc:"the identity provider's check-permission endpoint; required when it decides refunds"`
	RefundLimitMinor   int64         `env:"BILLING_REFUND_LIMIT_MINOR" envDefault:"5000" doc:"what a customer may have back of one invoice when refunds are decided locally, in minor units"`
	RefundACR          []string      `env:"BILLING_REFUND_ACR" doc:"authentication context classes (acr) of which a refund needs one, separated by commas; empty: any"`
	RefundMaxAuthAge   time.Duration `env:"BILLING_REFUND_MAX_AUTH_AGE" doc:"how long ago the user of a refund may have signed in (auth_time); empty: any time"`
	StatementsInterval time.Duration `env:"BILLING_STATEMENTS_INTERVAL" envDefault:"24h" doc:"how often monthly statements are computed"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error {
	faults := append(c.Common.Faults(), c.Backends.Faults()...)
	faults = append(faults,
		config.HTTPURL("BILLING_CHECK_PERMISSION_URL", c.CheckPermissionURL),
		config.Positive("BILLING_STATEMENTS_INTERVAL", c.StatementsInterval))
	switch c.RefundDecider {
	case DeciderIDP:
		faults = append(faults, config.Required("BILLING_CHECK_PERMISSION_URL", c.CheckPermissionURL))
	case DeciderLocal:
	default:
		faults = append(faults, fmt.Errorf("BILLING_REFUND_DECIDER (%q) must be idp or local", c.RefundDecider))
	}
	if c.RefundLimitMinor < 0 {
		faults = append(faults, fmt.Errorf("BILLING_REFUND_LIMIT_MINOR (%d) must not be negative", c.RefundLimitMinor))
	}
	if c.RefundMaxAuthAge < 0 {
		faults = append(faults, fmt.Errorf("BILLING_REFUND_MAX_AUTH_AGE (%s) must not be negative", c.RefundMaxAuthAge))
	}
	return faults
}
