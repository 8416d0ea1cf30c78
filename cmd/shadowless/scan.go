package main

import (
	"context"
	"fmt"
	"os"

	"github.com/shadowless/shadowless/internal/devstack"
)

type scanCommand struct {
	stateFlag
	UserID string `arg:"" help:"The user ID, byte for byte."`
}

// Run prints every place that holds the ID. The development IdP's own database
// is left out: users live there.
func (c *scanCommand) Run(ctx context.Context) error {
	running, err := c.running(ctx)
	if err != nil {
		return err
	}
	found, err := devstack.Scan(ctx, running, c.UserID)
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) == 0 {
		fmt.Println("No database, stream or bucket holds this ID in any spelling.")
	}
	return nil
}

type envCommand struct {
	stateFlag
	Service string `arg:"" help:"The service, such as orders."`
}

// Run prints NAME=value lines for `env -S` or an env file.
func (c *envCommand) Run(ctx context.Context) error {
	running, err := c.running(ctx)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(running.EnvironFile(c.Service))
	if err != nil {
		return fmt.Errorf("%w: %s", devstack.ErrUnknownService, c.Service)
	}
	_, err = os.Stdout.Write(raw)
	return err
}
