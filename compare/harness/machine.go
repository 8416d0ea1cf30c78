package harness

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/shadowless/shadowless/compare/report"
)

// machine is what this runs on, as far as the system tells.
func machine(ctx context.Context) report.Machine {
	m := report.Machine{
		Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Model: fieldOf("/proc/cpuinfo", "model name"),
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(fieldOf("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kib << 10
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Revision = revision(info.Settings)
	}
	if m.Revision == "" {
		m.Revision = revision(checkedOut(ctx))
	}
	return m
}

// checkedOut is what a build would note of the repository in which this runs:
// `go run` does not.
func checkedOut(ctx context.Context) []debug.BuildSetting {
	root, err := repository()
	if err != nil {
		return nil
	}
	commit, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "HEAD").Output()
	if err != nil {
		return nil // it is no clone, or there is no git
	}
	changes, err := exec.CommandContext(ctx, "git", "-C", root, "status", "--porcelain", "--untracked-files=no").Output()
	return []debug.BuildSetting{
		{Key: "vcs.revision", Value: strings.TrimSpace(string(commit))},
		{Key: "vcs.modified", Value: strconv.FormatBool(err != nil || len(changes) > 0)},
	}
}

// revision of the source; empty where it was not noted.
func revision(settings []debug.BuildSetting) string {
	const enough = 12
	var commit, changed string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(enough, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + changed
}

// fieldOf a file of lines like "name : value", the first one of that name.
func fieldOf(path, name string) string {
	raw, err := os.ReadFile(path) //nolint:gosec // of the kernel
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
