package harness

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"

	shadowbilling "github.com/shadowless/shadowless/compare/billing"
	shadoworders "github.com/shadowless/shadowless/compare/orders"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/billing"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// Part is what a process of a comparison does.
type Part string

// The parts.
const (
	stackPart  Part = "stack"  // Postgres, NATS and everybody's environment
	brokerPart Part = "broker" // a NATS of the shadow archetype
	servePart  Part = "serve"  // one service
)

// Names of the shadow archetype's services. With one database for both, users
// have one row.
const (
	shadowOrders  = "shadow-orders"
	shadowBilling = "shadow-billing"
	oneOrders     = "one-orders"
	oneBilling    = "one-billing"
)

// Play is a process of a comparison. It returns once it has been told to stop.
func Play(part Part, argument string) error {
	os.Args = os.Args[:1]
	switch part {
	case stackPart:
		return runStack(argument)
	case brokerPart:
		return runBroker(argument)
	case servePart:
		return serve(argument)
	default:
		return fmt.Errorf("a comparison has no part %q", part)
	}
}

// shadowPrefix of the variables that only the shadow archetype reads.
const shadowPrefix = "SHADOW_"

func serve(name string) error {
	switch name {
	case devstack.Orders:
		service.Main(orders.Name, orders.Prefix, orders.Run)
	case devstack.Billing:
		service.Main(billing.Name, billing.Prefix, billing.Run)
	case devstack.TokenExchange:
		service.Main(tokenexchange.Name, tokenexchange.Prefix, tokenexchange.Run)
	case devstack.IdentityRelay:
		service.Main(devstack.IdentityRelay, identityrelay.Prefix, identityrelay.Run)
	case devstack.DevIDP:
		service.Main(devstack.DevIDP, devidp.Prefix, devidp.Run)
	case shadowOrders, oneOrders:
		service.Main(shadoworders.Name, shadowPrefix, shadoworders.Run)
	case shadowBilling, oneBilling:
		service.Main(shadowbilling.Name, shadowPrefix, shadowbilling.Run)
	}
	return fmt.Errorf("there is no service %s", name)
}

const skipFsync = "skip-fsync:"

func runStack(dir string) error {
	dir, forgetful := strings.CutPrefix(dir, skipFsync)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ports, release, err := devstack.FreePorts()
	if err != nil {
		return err
	}
	defer release()
	stack, err := devstack.Start(ctx, devstack.Config{
		StateDir: dir, Ports: ports, LogLevel: slog.LevelWarn, Without: devstack.WithDatabase, SkipFsync: forgetful,
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return stack.Stop()
	case err := <-stack.Failed():
		return err
	}
}

// runBroker serves NATS with the stack's users and a store of its own. The
// argument is state directory, store and port.
func runBroker(argument string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	parts := strings.Split(argument, "|")
	const stateDir, portNumber, store = 0, 1, 2
	if len(parts) <= store {
		return fmt.Errorf("a broker needs a state directory, a port and a store, not %q", argument)
	}
	port, err := strconv.Atoi(parts[portNumber])
	if err != nil {
		return fmt.Errorf("read the broker's port: %w", err)
	}
	options, err := devstack.BrokerOptions(parts[stateDir], port)
	if err != nil {
		return err
	}
	options.StoreDir = parts[store]
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("make the NATS server: %w", err)
	}
	srv.Start()
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}
