package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/httpserver"
	"github.com/shadowless/shadowless/internal/postgres"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const floorPrefix = "BENCH_FLOOR_"

// floorConfig of the process with the floors.
type floorConfig struct {
	config.Common
	DatabaseURL string   `env:"BENCH_FLOOR_DATABASE_URL" doc:"where the SELECT goes"`
	Key         string   `env:"BENCH_FLOOR_KEY" doc:"the API key that is proven"`
	Algorithms  []string `env:"BENCH_FLOOR_ALGORITHMS" doc:"signing algorithms"`
	// Server is where the floors inside our own server listen; ListenAddress has
	// the bare ones.
	Server string `env:"BENCH_FLOOR_SERVER" doc:"address of the floors inside the services' server"`
}

// floorHash is a key's stored hash; the floors use one hash key.
func floorHash(key string) []byte {
	mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
	mac.Write([]byte(key))
	return mac.Sum(nil)
}

// find gives the hash and the client of a key.
type find func(ctx context.Context, id string) (hash []byte, client string, err error)

func runFloor(ctx context.Context, cfg floorConfig, log *slog.Logger) error {
	pool, err := postgres.Open(ctx, cfg.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	key, err := api.ParseKey(cfg.Key)
	if err != nil {
		return fmt.Errorf("BENCH_FLOOR_KEY: %w", err)
	}
	hash := floorHash(cfg.Key)
	known := map[string][]byte{key.ID(): hash}
	inMemory := func(_ context.Context, id string) ([]byte, string, error) { return known[id], benchClient, nil }
	mux := http.NewServeMux()
	for _, algorithm := range cfg.Algorithms {
		s, err := newSigner(algorithm)
		if err != nil {
			return err
		}
		mux.Handle("POST /memory/"+algorithm, floor(inMemory, s))
		mux.Handle("POST /select/"+algorithm, floor(selecting(pool), s))
	}
	// The settings of internal/httpserver, and nothing else of it.
	bare := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 90 * time.Second, MaxHeaderBytes: httpserver.MaxHeaderSize,
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.ListenAddress)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	failed := make(chan error, 1)
	go func() { failed <- bare.Serve(listener) }()
	err = httpserver.Serve(ctx, httpserver.Config{
		Name: "floor", Address: cfg.Server, InsecurePlainHTTP: true, ShutdownTimeout: time.Second, Logger: log,
	}, mux)
	closed := bare.Close()
	if serving := <-failed; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return errors.Join(err, closed)
}

func selecting(pool *pgxpool.Pool) find {
	return func(ctx context.Context, id string) (hash []byte, client string, err error) {
		err = pool.QueryRow(ctx, "SELECT hash, client_id FROM floor_keys WHERE id = $1", id).Scan(&hash, &client)
		return hash, client, err
	}
}

// floorClaims have as many members as a service token of the service.
type floorClaims struct {
	Issuer       string              `json:"iss"`
	Subject      string              `json:"sub"`
	Audience     []string            `json:"aud"`
	ClientID     string              `json:"client_id"`
	IssuedAt     int64               `json:"iat"`
	ExpiresAt    int64               `json:"exp"`
	ID           string              `json:"jti"`
	Kind         string              `json:"kind"`
	Scope        string              `json:"scope"`
	Permissions  map[string][]string `json:"permissions"`
	OriginallyAt int64               `json:"orig_iat"`
}

func floor(look find, s *signer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		client, errClient := url.QueryUnescape(user)
		presented, errKey := url.QueryUnescape(password)
		key, errParse := api.ParseKey(presented)
		if err := errors.Join(errClient, errKey, errParse, r.ParseForm()); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		hash, owner, err := look(r.Context(), key.ID())
		if err != nil || !hmac.Equal(hash, floorHash(presented)) || owner != client {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := time.Now().Unix()
		token, err := s.sign(floorClaims{
			Issuer: "http://127.0.0.1", Subject: "client:" + owner, Audience: []string{"billing"}, ClientID: owner, IssuedAt: now, ExpiresAt: now + 900,
			ID: uuid.NewString(), Kind: "service", Scope: benchScopes, Permissions: benchPermissions, OriginallyAt: now,
		})
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int64  `json:"expires_in"`
			Scope       string `json:"scope"`
		}{token, "Bearer", 900, benchScopes})
	})
}
