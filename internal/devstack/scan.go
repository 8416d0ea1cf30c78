package devstack

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
)

// Scan looks for a user ID in the databases of all services and in everything
// that NATS keeps. The development IdP is left out: it is where users live.
func Scan(ctx context.Context, r *Running, userID string) ([]footprint.Finding, error) {
	var found []footprint.Finding
	for _, service := range WithDatabase {
		if service == DevIDP {
			continue
		}
		url, err := config.ReadSecretFile(r.SecretFile(DatabaseName(service) + "_migrator.url"))
		if err != nil {
			return nil, err
		}
		in, err := footprint.InDatabase(ctx, url, userID)
		if err != nil {
			return nil, fmt.Errorf("scan the database of %s: %w", service, err)
		}
		found = append(found, in...)
	}
	conn, js, err := natsconn.Connect(natsconn.Config{
		URL: "nats://" + r.Ports.Address(NATS), NKeySeedFile: r.SecretFile(streams.Operator + ".nkey"), Name: streams.Operator, Logger: slog.Default(),
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in, err := footprint.InStreams(ctx, js, userID)
	if err != nil {
		return nil, err
	}
	return append(found, in...), nil
}
