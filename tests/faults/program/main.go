// Command program is whatever process its first argument names: a service as its
// own command runs it, or NATS with the users and permissions of the system. One
// binary is linked once, where seven would be linked seven times.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "which process?")
		os.Exit(2)
	}
	name := os.Args[1]
	os.Args = os.Args[1:]
	switch name {
	case "orders":
		service.Main(name, orders.Prefix, orders.Run)
	case "billing":
		service.Main(name, billing.Prefix, billing.Run)
	case "token-exchange":
		service.Main(name, tokenexchange.Prefix, tokenexchange.Run)
	case "identity-relay":
		service.Main(name, identityrelay.Prefix, identityrelay.Run)
	case "console":
		service.Main(name, console.Prefix, console.Run)
	case "dev-idp":
		service.Main(name, devidp.Prefix, devidp.Run)
	case "nats":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := runNATS(ctx, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:gocritic // the signals need no giving back
		}
	default:
		fmt.Fprintf(os.Stderr, "there is no process %q\n", name)
		os.Exit(2)
	}
}
