package participant_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// All that a service adds to become a participant.
//
//nolint:testableexamples // it would need a database and a broker
func Example() {
	serve := func(ctx context.Context, pool *pgxpool.Pool, js jetstream.JetStream, manifestYAML []byte) error {
		manifest, err := participant.ParseManifest(manifestYAML)
		if err != nil {
			return err
		}
		p, err := participant.New(participant.Config{
			Name: "orders", Manifest: manifest, Pool: pool, JetStream: js, TombstoneKeyFile: "/run/secrets/tombstone-keys",
		})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	}
	_ = serve
}

// Every transaction that writes under a user ID asks first.
//
//nolint:testableexamples // it would need a database
func ExampleTombstones_Refuse() {
	place := func(ctx context.Context, pool *pgxpool.Pool, tombstones *participant.Tombstones, userID string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := tombstones.Refuse(ctx, tx, userID); err != nil {
				return fmt.Errorf("place order: %w", err)
			}
			_, err := tx.Exec(ctx, "INSERT INTO orders (user_id) VALUES ($1)", userID)
			return err
		})
	}
	_ = place
}
