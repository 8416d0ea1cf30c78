package main

import (
	"context"
	"os"

	"github.com/shadowless/shadowless/internal/credentials"
	"github.com/shadowless/shadowless/internal/images"
)

type k8sCommand struct {
	Secrets   secretsCommand   `cmd:"" help:"Print the Secrets of an overlay, for kubectl apply -f -."`
	Databases databasesCommand `cmd:"" help:"Give every service its database and roles on a Postgres server."`
}

type secretsCommand struct {
	stateFlag
	credentials.Command
}

// Run prints the Secrets.
func (c *secretsCommand) Run(ctx context.Context) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	c.Command.StateDir = dir
	return c.Command.Run(ctx, os.Stdout)
}

type databasesCommand struct{ credentials.DatabasesCommand }

// Run provisions the databases.
func (c *databasesCommand) Run(ctx context.Context) error {
	return c.DatabasesCommand.Run(ctx, os.Stdout)
}

type imagesCommand struct{ images.Command }

// Run builds the images.
func (c *imagesCommand) Run(ctx context.Context) error { return c.Command.Run(ctx, os.Stdout) }
