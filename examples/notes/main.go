// Command notes is the smallest service that takes part: it keeps notes under
// user IDs, verifies tokens by itself, and answers erasures. All that the last
// takes stands in participant.go, in manifest.yaml, and between the marks in the
// other files; docs/identity.md counts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		slog.Error("notes stopped", "error", err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := migrate.Up(ctx, os.Getenv("NOTES_MIGRATOR_URL"), sets...); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, os.Getenv("NOTES_DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	conn, err := nats.Connect(os.Getenv("NATS_URL"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	issuers, err := authn.LoadConfig(os.Getenv("AUTHN_CONFIG_FILE"))
	if err != nil {
		return err
	}
	revoked := authn.NewRevocationList(authn.RevocationListOptions{})
	verifier, err := authn.New(ctx, issuers, authn.Options{Audiences: []string{"notes"}, Revocations: revoked})
	if err != nil {
		return err
	}
	defer verifier.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:8080") //nolint:noctx // ends with the server
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	feed := revocation.NewFeed(js, revocation.FeedConfig{Instance: fmt.Sprintf("notes-%d", os.Getpid()), Upstream: "relay"})
	group.Go(func() error { return feed.Run(ctx, revoked) })
	group.Go(func() error { return serve(ctx, listener, verifier, pool, js, os.Getenv("TOMBSTONE_KEY_FILE")) })
	return group.Wait()
}

// serve answers requests and erasures until ctx ends.
func serve(ctx context.Context, listener net.Listener, verifier *authn.Verifier, pool *pgxpool.Pool, js jetstream.JetStream, keyFile string) error {
	group, ctx := errgroup.WithContext(ctx)
	// participant:begin
	erasures, err := answerErasures(pool, js, keyFile)
	if err != nil {
		return err
	}
	group.Go(func() error { return erasures.Run(ctx) })
	// participant:end
	mux := http.NewServeMux()
	mux.Handle("POST /notes", verifier.Middleware(notebook{pool: pool, tombstones: erasures.Tombstones()}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(closing)
	})
	return group.Wait()
}
