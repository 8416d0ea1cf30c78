package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

var modes = map[string]func(argument string) error{stackMode: runStack, serveMode: serve, replicaMode: runReplica}

// serve is the command of one service.
func serve(name string) error {
	switch name {
	case devstack.Orders:
		service.Main(orders.Name, orders.Prefix, orders.Run)
	case devstack.Billing:
		service.Main(billing.Name, billing.Prefix, billing.Run)
	case devstack.Console:
		service.Main(console.Name, console.Prefix, console.Run)
	case devstack.TokenExchange:
		service.Main(tokenexchange.Name, tokenexchange.Prefix, tokenexchange.Run)
	case devstack.IdentityRelay:
		service.Main(devstack.IdentityRelay, identityrelay.Prefix, measure.Profiled(identityrelay.Run))
	case devstack.DevIDP:
		service.Main(devstack.DevIDP, devidp.Prefix, devidp.Run)
	}
	return fmt.Errorf("there is no service %s", name)
}

// runStack is NATS, Postgres and everybody's environment, without any service.
func runStack(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ports, release, err := devstack.FreePorts()
	if err != nil {
		return err
	}
	defer release()
	stack, err := devstack.Start(ctx, devstack.Config{
		StateDir: dir, Ports: ports, LogLevel: slog.LevelWarn, Without: devstack.WithDatabase,
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
