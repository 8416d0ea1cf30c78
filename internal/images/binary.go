package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Platform is an operating system and architecture: linux/amd64.
type Platform struct{ OS, Architecture string }

// ParsePlatform reads "linux/amd64".
func ParsePlatform(s string) (Platform, error) {
	system, architecture, ok := strings.Cut(s, "/")
	if !ok || system != "linux" || architecture == "" || strings.Contains(architecture, "/") {
		return Platform{}, fmt.Errorf("platform %q must be linux/<architecture>", s)
	}
	return Platform{OS: system, Architecture: architecture}, nil
}

// compile builds the main package statically and returns the binary's path
// inside dir.
func compile(ctx context.Context, source, mainPackage, name string, platform Platform, dir string) (string, error) {
	binary := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", //nolint:gosec // packages are named by this program
		"-trimpath",                // no paths of this machine
		"-buildvcs=false",          // nor the state of its work tree
		"-ldflags=-s -w -buildid=", // nor an ID that depends on the cache
		"-o", binary, mainPackage)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", mainPackage, err, strings.TrimSpace(string(out)))
	}
	return binary, nil
}

// sourceRoot is the folder of the root module, wherever below it the command
// was started.
func sourceRoot(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	out, err := cmd.Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return "", fmt.Errorf("images are built from the sources: start this inside the repository of %s", module)
	}
	return dir, nil
}
