package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
)

type upCommand struct {
	stateFlag
	As          string   `help:"How the development IdP behaves: as documented or as observed." enum:"promised,observed" default:"promised"`
	Fresh       bool     `help:"Forget the data of earlier runs."`
	DatabaseURL string   `help:"Use this Postgres server (an administrator's URL) instead of a private one." name:"database-url"`
	Without     []string `help:"Services that you run yourself, with the environment of 'shadowless env'."`
}

// Run brings the system up and waits for Ctrl-C.
func (c *upCommand) Run(ctx context.Context) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	fmt.Println("Starting Postgres, NATS, the development IdP and five services …")
	start := time.Now()
	stack, err := devstack.Start(ctx, devstack.Config{
		StateDir: dir, Fresh: c.Fresh, DatabaseURL: c.DatabaseURL, As: c.As, Without: c.Without,
	})
	if err != nil && ctx.Err() != nil {
		fmt.Println("\nStopped before it was ready. The data stays; `--fresh` forgets it.")
		return nil //nolint:nilerr // it ended because it was told to
	}
	if err != nil {
		return err
	}
	devstack.Summary(os.Stdout, stack.Running, time.Since(start))
	var failure error
	select {
	case <-ctx.Done():
		fmt.Println("\nStopping …")
	case failure = <-stack.Failed():
		failure = fmt.Errorf("%w (logs are in %s/logs)", failure, dir)
	}
	if err := errors.Join(failure, stack.Stop()); err != nil {
		return err
	}
	fmt.Println("Stopped. The data stays; `--fresh` forgets it.")
	return nil
}
