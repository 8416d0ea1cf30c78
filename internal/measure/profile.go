package measure

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
)

// ProfileVariable names the file that a measured service's CPU profile goes to.
const ProfileVariable = "BENCH_PROFILE"

// Profiled is a service's Run, with a CPU profile where one is wanted.
func Profiled[C any](run func(context.Context, C, *slog.Logger) error) func(context.Context, C, *slog.Logger) error {
	return func(ctx context.Context, cfg C, log *slog.Logger) error {
		if path := os.Getenv(ProfileVariable); path != "" {
			file, err := os.Create(path)
			if err != nil {
				return fmt.Errorf("create the profile: %w", err)
			}
			defer file.Close() //nolint:errcheck // a profile that is cut off is seen to be
			if err := pprof.StartCPUProfile(file); err != nil {
				return fmt.Errorf("start the profile: %w", err)
			}
			defer pprof.StopCPUProfile()
		}
		return run(ctx, cfg, log)
	}
}
