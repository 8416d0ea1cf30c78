package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
)

type streamsCommand struct {
	Apply streamsApplyCommand `cmd:"" help:"Declare streams, consumers and buckets; again and again with the same result."`
}

type streamsApplyCommand struct {
	stateFlag
	NATSURL      string        `help:"nats:// or tls:// URL." env:"NATS_URL" name:"nats-url"`
	NKeySeedFile string        `help:"The operator's NKey seed." env:"NATS_NKEY_SEED_FILE" name:"nkey-seed-file" type:"path"`
	CAFile       string        `help:"PEM certificates to trust." env:"CA_FILE" type:"path"`
	Replicas     int           `help:"Copies of each stream: 1 on one server, 3 in a cluster." default:"1"`
	Timeout      time.Duration `help:"How long to wait for NATS." default:"60s"`
}

// Run applies the declarations.
func (c *streamsApplyCommand) Run(ctx context.Context) error {
	if c.NATSURL == "" {
		running, err := c.running(ctx)
		if err != nil {
			return err
		}
		c.NATSURL, c.NKeySeedFile = "nats://"+running.Ports.Address(devstack.NATS), running.SecretFile(streams.Operator+".nkey")
	}
	conn, js, err := natsconn.Connect(natsconn.Config{
		URL: c.NATSURL, NKeySeedFile: c.NKeySeedFile, CAFile: c.CAFile, Name: streams.Operator, Logger: slog.Default(),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := streams.Apply(ctx, js, c.Replicas); err != nil {
		return err
	}
	fmt.Println("Streams, consumers and buckets are as declared.")
	return nil
}
