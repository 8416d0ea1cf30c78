package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
)

type demoCommand struct {
	stateFlag
	As string `help:"How the IdP of a system of its own behaves." enum:"promised,observed" default:"promised"`
}

// Run walks the journey. Without a running system it starts one that it forgets.
func (c *demoCommand) Run(ctx context.Context) error {
	running, err := c.running(ctx)
	if errors.Is(err, devstack.ErrNotRunning) {
		return c.alone(ctx)
	}
	if err != nil {
		return err
	}
	return walk(ctx, running)
}

func (c *demoCommand) alone(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "shadowless-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	fmt.Println("No system is running here: starting one for the demo …")
	ports, release, err := devstack.FreePorts()
	if err != nil {
		return err
	}
	defer release()
	stack, err := devstack.Start(ctx, devstack.Config{StateDir: dir, As: c.As, Ports: ports, SkipFsync: true})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, stack.Stop(), os.RemoveAll(dir)) }()
	return walk(ctx, &stack.Running)
}

func walk(ctx context.Context, running *devstack.Running) error {
	j, err := journey.New(running, os.Stdout)
	if err != nil {
		return err
	}
	return j.Walk(ctx)
}
