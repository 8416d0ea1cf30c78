// Package httpserver runs an HTTP server the way every service here does: TLS
// from files, limits and timeouts, one log line and one span per request,
// liveness and readiness, and an orderly end.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Limits of every server.
const (
	MaxBodySize       = 1 << 20  // bytes; a route may set less
	MaxHeaderSize     = 32 << 10 // bytes; a 4 KiB token fits eight times
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 90 * time.Second
)

// Config of one server.
type Config struct {
	Name              string
	Address           string
	TLSCertFile       string
	TLSKeyFile        string
	InsecurePlainHTTP bool
	ShutdownTimeout   time.Duration
	Health            *Health
	Logger            *slog.Logger
	Ready             func(addr string)
}

// Serve listens and answers until ctx ends, then finishes the requests that are
// under way, for at most ShutdownTimeout.
func Serve(ctx context.Context, cfg Config, handler http.Handler) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Address)
	if err != nil {
		return fmt.Errorf("%s: listen on %s: %w", cfg.Name, cfg.Address, err)
	}
	bound := listener.Addr().String()
	if !cfg.InsecurePlainHTTP {
		cert, err := loadCertificate(cfg.TLSCertFile, cfg.TLSKeyFile)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	}
	health := cfg.Health
	if health == nil {
		health = &Health{}
	}
	server := &http.Server{
		Handler:           compose(cfg, health, handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeaderSize,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	cfg.Logger.Info("listening", "address", bound)
	if cfg.Ready != nil {
		cfg.Ready(bound)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("%s: serve: %w", cfg.Name, err)
	case <-ctx.Done():
	}
	health.Drain()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("%s: requests were cut off: %w", cfg.Name, err), server.Close())
	}
	return nil
}

// compose puts the shared layers around the service's handler. Probes are
// outside the log and the traces.
func compose(cfg Config, health *Health, handler http.Handler) http.Handler {
	logged := otelhttp.NewHandler(record(cfg.Logger, recovered(limited(handler))), cfg.Name,
		otelhttp.WithSpanNameFormatter(spanName))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", health.live)
	mux.HandleFunc("GET /readyz", health.ready)
	mux.Handle("/", logged)
	return mux
}
