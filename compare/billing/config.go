package billing

import (
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/services/billing"
)

// Config of this billing: the real one's, and that of its users.
type Config struct {
	billing.Config
	Users users.Config

	OneDatabase bool `env:"SHADOW_ONE_DATABASE" doc:"orders is in the same database: invoices refer to them"`
}

// Faults lists everything that is wrong.
func (c Config) Faults() []error { return append(c.Config.Faults(), c.Users.Faults()...) }
