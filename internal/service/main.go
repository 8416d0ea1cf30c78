// Package service is the command around a service's Run: configuration from the
// environment, -check-config, logs, traces, signals and the exit code.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/telemetry"
)

// flushTimeout bounds the export of the last spans.
const flushTimeout = 5 * time.Second

// collectAt is how far the heap grows between two collections, in percent of what
// lives, where GOGC does not say it. What lives in a service is about 10 MiB: at
// Go's 100 the collector ran so often that token-exchange answered 15 % fewer
// requests for its CPU. It costs 20 MiB (make bench-exchange).
const collectAt = 400

// Configuration is what Main needs to know of a service's configuration.
type Configuration interface{ LoggedAt() slog.Level }

// Main runs one service until SIGINT or SIGTERM and ends the process: 0 after
// an orderly stop, 1 after a failure, 2 for a configuration that is not valid.
func Main[C Configuration](name, prefix string, run func(context.Context, C, *slog.Logger) error) {
	os.Exit(execute(name, prefix, run, os.Args[1:], os.Environ(), os.Stderr))
}

func execute[C Configuration](name, prefix string, run func(context.Context, C, *slog.Logger) error, args, environ []string, stderr io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check-config", false, "report every fault of the configuration and end")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: takes no arguments, not %q: its configuration is its environment\n", name, flags.Args())
		return 2
	}
	cfg, err := config.Load[C](prefix, environ)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	if *check {
		fmt.Fprintf(stderr, "%s: the configuration is valid\n", name)
		return 0
	}
	if err := runLogged(name, cfg, run); err != nil {
		return 1
	}
	return 0
}

func runLogged[C Configuration](name string, cfg C, run func(context.Context, C, *slog.Logger) error) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	log := telemetry.NewLogger(os.Stdout, name, cfg.LoggedAt())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flush, err := telemetry.Setup(ctx, name)
	if err != nil {
		log.Error("telemetry", "error", err)
		return err
	}
	err = run(ctx, cfg, log)
	if brokenOff(ctx, err) {
		err = nil // it was told to stop before it had begun
	}
	if err != nil {
		log.Error("stopped", "error", err)
	} else {
		log.Info("stopped")
	}
	flushed, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if ferr := flush(flushed); ferr != nil {
		log.Warn("spans were lost", "error", ferr)
	}
	return err
}

// brokenOff tells that err is only the signal's echo.
func brokenOff(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}
