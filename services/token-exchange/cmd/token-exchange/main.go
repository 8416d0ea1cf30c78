// Command token-exchange runs the token-exchange service alone.
package main

import (
	"github.com/shadowless/shadowless/internal/service"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

func main() { service.Main(tokenexchange.Name, tokenexchange.Prefix, tokenexchange.Run) }
