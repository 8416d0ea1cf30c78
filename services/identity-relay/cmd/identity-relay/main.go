// Command identity-relay runs the service; -check-config reports every fault of
// its environment.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
)

func main() { service.Main("identity-relay", identityrelay.Prefix, identityrelay.Run) }
