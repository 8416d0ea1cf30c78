// Command dev-idp is the development-only identity provider.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
)

func main() { service.Main("dev-idp", devidp.Prefix, devidp.Run) }
