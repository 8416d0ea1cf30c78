package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
)

var development = []string{"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true"}

type sample struct{ config.Common }

func run(args, environ []string, do func(context.Context) error) (code int, stderr string) {
	var out bytes.Buffer
	code = execute("sample", "SAMPLE_", func(ctx context.Context, _ sample, _ *slog.Logger) error { return do(ctx) }, args, environ, &out)
	return code, out.String()
}

func nothing(context.Context) error { return nil }

func TestExecute_ExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args, environ []string
		do            func(context.Context) error
		code          int
		says          string
	}{
		"an orderly end":           {nil, development, nothing, 0, ""},
		"a failure":                {nil, development, func(context.Context) error { return errors.New("broken") }, 1, ""},
		"help":                     {[]string{"-h"}, nil, nothing, 0, "-check-config"},
		"an unknown flag":          {[]string{"-x"}, development, nothing, 2, "-x"},
		"an argument":              {[]string{"check-config"}, development, nothing, 2, "takes no arguments"},
		"no configuration":         {nil, nil, nothing, 2, "1 fault(s)"},
		"a configuration, checked": {[]string{"-check-config"}, development, nothing, 0, "is valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stderr := run(c.args, c.environ, c.do)
			require.Equal(t, c.code, code)
			require.Contains(t, stderr, c.says)
		})
	}
}

// A service that is told to stop while it still waits for something has not
// failed. The signal is the process's, hence not in parallel.
func TestExecute_AStopDuringTheStartIsOrderly(t *testing.T) { //nolint:paralleltest // sends this process a signal
	for _, echo := range []func(context.Context) error{context.Cause, context.Context.Err} {
		code, _ := run(nil, development, func(ctx context.Context) error {
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			return fmt.Errorf("open the mesh: %w", echo(ctx))
		})
		require.Equal(t, 0, code)
	}
	code, _ := run(nil, development, func(ctx context.Context) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return errors.New("requests were cut off")
	})
	require.Equal(t, 1, code)
}
