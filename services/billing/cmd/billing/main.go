// Command billing runs the billing service alone.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/billing"
)

func main() { service.Main(billing.Name, billing.Prefix, billing.Run) }
