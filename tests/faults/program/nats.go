package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/shadowless/shadowless/internal/devstack"
)

const upTimeout = 20 * time.Second

// runNATS serves until ctx ends.
func runNATS(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	state := flags.String("state", "", "state directory of the system")
	port := flags.Int("port", 0, "where clients connect")
	maxStore := flags.Int64("max-store", 0, "bytes that JetStream may keep on disk; 0: what the disk has")
	node := flags.String("node", "", "name of this node of a cluster; empty: no cluster")
	clusterPort := flags.Int("cluster-port", 0, "where the other nodes connect")
	routes := flags.String("routes", "", "the other nodes, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options, err := devstack.BrokerOptions(*state, *port)
	if err != nil {
		return err
	}
	options.JetStreamMaxStore = *maxStore
	if *node != "" {
		options.ServerName = *node
		options.StoreDir = filepath.Join(options.StoreDir, *node)
		options.Cluster = server.ClusterOpts{Name: "shadowless", Host: "127.0.0.1", Port: *clusterPort}
		options.Routes = server.RoutesFromStr(*routes)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	srv.ConfigureLogger()
	srv.Start()
	if !srv.ReadyForConnections(upTimeout) {
		return errors.New("the server did not come up")
	}
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}
